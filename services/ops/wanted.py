"""Owns what somebody asks to see, from the words of an address to filters; pages, streams and links share it."""

import re
from datetime import UTC, date, datetime, time
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from starlette.datastructures import QueryParams

from services.ops import store
from services.ops.search import Filters
from services.ops.stream import Place
from shared.db import Transaction
from shared.events import EVENT_TYPES
from shared.events.base import storable
from shared.events.dates import WrittenInstant
from shared.history.reading import IMPERSONAL_TOPICS
from shared.history.recorded import event_names, may_be_recorded, short_name

NOW, BEGINNING = "now", "beginning"
BEGINNINGS = (BEGINNING, "début", "debut")
"""A person writes it in the language of the form."""
SEVERAL = ("topic", "type", "key")
_INSTANT: TypeAdapter[datetime] = TypeAdapter(WrittenInstant)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _instant(written: object, of_day: time) -> datetime:
    """An instant as ISO 8601 writes it, or a date, which means a time of that day in UTC."""
    try:
        if isinstance(written, str) and _DAY.fullmatch(written):
            written = datetime.combine(date.fromisoformat(written), of_day, UTC)
        return _INSTANT.validate_python(written)
    except ValueError:
        raise ValueError("a date such as 2021-08-02 or an instant such as 2021-08-02T09:15:00Z") from None


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

    @field_validator("topic")
    @classmethod
    def _declared(cls, value: list[str]) -> list[str]:
        if not all(each in IMPERSONAL_TOPICS for each in value if each):
            raise ValueError(f"must be one of {', '.join(IMPERSONAL_TOPICS)}")
        return value

    @field_validator("type")
    @classmethod
    def _known_names(cls, value: list[str]) -> list[str]:
        if not all(may_be_recorded(each.strip()) for each in value if each.strip()):
            raise ValueError(f"must be one of {', '.join(event_names())}")
        return value

    @field_validator("until", mode="before")
    @classmethod
    def _known_end(cls, value: object) -> object:
        # A form sends its empty fields too. A day is meant to its end.
        if value is None or not str(value).strip():
            return None
        return _instant(value.strip() if isinstance(value, str) else value, time.max)

    @field_validator("from_")
    @classmethod
    def _known_start(cls, value: str) -> str:
        written = value.strip()
        if written.casefold() in BEGINNINGS:
            return BEGINNING
        if written not in {"", NOW}:
            try:
                _instant(written, time.min)
            except ValueError as wrong:
                raise ValueError(f"{NOW}, {BEGINNING}, {wrong}") from None
        return written or NOW

    @property
    def since(self) -> datetime | None:
        """The business time to begin at, None where no time is named."""
        return None if self.from_ in {NOW, BEGINNING} else _instant(self.from_, time.min)

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


def wanted_of(query: QueryParams) -> tuple[Wanted, frozenset[str]]:
    """What the query of a page asks for, and its fields that cannot be read; of those nothing is wanted."""
    names = ("topic", "type", "key", "text", "from", "until")
    given = {name: query.getlist(name) if name in SEVERAL else query[name] for name in names if name in query}
    try:
        return Wanted.model_validate(given), frozenset()
    except ValidationError as broken:
        wrong = frozenset(str(error["loc"][0]) for error in broken.errors(include_url=False, include_context=False))
    return Wanted.model_validate({name: value for name, value in given.items() if name not in wrong}), wrong


def full_names(name: str) -> list[str]:
    """The event types that a name means: `GrantAwarded` is every version of it; an unknown name stays as it is."""
    wanted = name.strip()
    known = [full for full in EVENT_TYPES if short_name(full).casefold() == wanted.casefold()]
    return known or [wanted]
