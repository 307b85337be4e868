"""Owns what somebody asks to see, from the words of an address to filters; pages, streams and links share it."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from services.ops import store
from services.ops.search import Filters
from services.ops.stream import Place
from shared.db import Transaction
from shared.events import EVENT_TYPES
from shared.events.base import storable
from shared.events.dates import WrittenInstant
from shared.history.recorded import short_name

NOW, BEGINNING = "now", "beginning"
_INSTANT: TypeAdapter[datetime] = TypeAdapter(WrittenInstant)


class Wanted(BaseModel):
    """The query of `GET /` and `GET /api/v1/events`. Several topics, types or keys: any of them."""

    model_config = ConfigDict(extra="ignore")

    topic: list[str] = Field(default=[], max_length=50)
    type: list[str] = Field(default=[], max_length=50)
    key: list[str] = Field(default=[], max_length=50)
    text: str = Field(default="", max_length=200)
    from_: str = Field(default=NOW, alias="from", max_length=40)
    until: WrittenInstant | None = None
    after: int | None = Field(default=None, ge=0)
    """Go on after the row of this id, as the header `Last-Event-ID` does."""

    @field_validator("topic", "type", "key", "text")
    @classmethod
    def _storable(cls, value: list[str] | str) -> list[str] | str:
        # Of all at once, so that the field is named and not one of its values.
        storable("".join(value))
        return value

    @field_validator("until", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        # A form sends its empty fields too.
        return None if value == "" else value

    @field_validator("from_")
    @classmethod
    def _known_start(cls, value: str) -> str:
        if value not in {"", NOW, BEGINNING}:
            try:
                _INSTANT.validate_python(value)
            except ValidationError:
                raise ValueError(f"{NOW}, {BEGINNING} or an instant such as 2021-08-02T09:15:00Z") from None
        return value or NOW

    @property
    def since(self) -> datetime | None:
        """The business time to begin at, None where no time is named."""
        return None if self.from_ in {NOW, BEGINNING} else _INSTANT.validate_python(self.from_)

    def place(self, last_event_id: int | None) -> Place:
        """Where to begin; what a browser saw last goes before what its address says."""
        if last_event_id is not None:
            return Place(after=last_event_id)
        if self.after is not None:
            return Place(after=self.after)
        return Place(after=0) if self.from_ == BEGINNING else Place(since=self.since)

    async def filters(self, tx: Transaction) -> Filters:
        """The filters of the store: short names of types, and references as keys, are understood."""
        keys = [key.strip() for key in self.key if key.strip()]
        return Filters(
            topics=tuple(topic for topic in self.topic if topic),
            types=tuple(full for name in self.type if name for full in full_names(name)),
            keys=tuple([await store.by_reference(tx, key) or key for key in keys]),
            text=self.text.strip(),
            since=self.since,
            until=self.until,
        )


Asked = Annotated[Wanted, Query()]


def full_names(name: str) -> list[str]:
    """The event types that a name means: `GrantAwarded` is every version of it; an unknown name stays as it is."""
    wanted = name.strip()
    known = [full for full in EVENT_TYPES if short_name(full).casefold() == wanted.casefold()]
    return known or [wanted]
