"""Owns the shape that every event shares: a frozen, dated fact with a type name and a key; it never knows Kafka."""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from shared.events.dates import Instant

NUL_IS_NOT_TEXT = "the character U+0000 is not text"


def storable(text: str) -> str:
    """A text that PostgreSQL can hold: its texts have no character 0. Raises ValueError."""
    if "\0" in text:
        raise ValueError(NUL_IS_NOT_TEXT)
    return text


STORABLE = AfterValidator(storable)
"""For a text from outside that nothing else bounds."""
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
"""A UUIDv7 in its canonical lower-case form."""
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
"""An id that a call file gives: `innovation-2021`, `innovation-2021-r1`."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""An id inside a call file: a theme, a criterion, a check."""
Siret = Annotated[str, StringConstraints(pattern=r"^\d{14}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Euros = Annotated[int, Field(ge=0, le=10**12)]
"""Whole euros."""
PositiveEuros = Annotated[int, Field(gt=0, le=10**12)]

EVENT_TYPES: dict[str, type["Event"]] = {}
"""Every event class by its `ce_type`."""


class Fact(BaseModel):
    """A frozen value that ignores fields it does not know (`docs/design.md` §4: fields are only added)."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Event(Fact):
    """A dated fact. `occurred_at` is business time, UTC."""

    version: ClassVar[int] = 1
    topic: ClassVar[str]
    key_field: ClassVar[str]

    occurred_at: Instant

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not abstract:
            EVENT_TYPES[cls.type_name()] = cls

    @classmethod
    def type_name(cls) -> str:
        """The `ce_type`: `releve.GrantAwarded.v1`."""
        return f"releve.{cls.__name__}.v{cls.version}"

    @property
    def key(self) -> str:
        """The Kafka key, which is also the `ce_subject`."""
        return str(getattr(self, self.key_field))

    @property
    def topic_name(self) -> str:
        """The topic that this event goes to."""
        return self.topic


class CallEvent(Event, abstract=True):
    """An event of one call; `round_id` is null where the fact belongs to no round."""

    call_id: Slug
    call_version: int
    round_id: Slug | None = None


class ApplicationEvent(CallEvent, abstract=True):
    """An event about one application, keyed by it."""

    key_field: ClassVar[str] = "application_id"

    application_id: Id
