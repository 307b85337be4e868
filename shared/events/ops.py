"""Owns what operations and every service's quarantine say: replays asked for, records set aside and how that ended."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from shared.events.base import Event

Because = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")
]
"""Why a person did something, on one line."""


class ReplayRequested(Event):
    """An operator asks a service to replay quarantined records of one event or one key; the service obeys and logs."""

    topic: ClassVar[str] = "ops.commands"
    key_field: ClassVar[str] = "service"

    service: str
    consumer: str
    event_id: str | None = None
    origin_key: str | None = None
    requested_by: str

    @model_validator(mode="after")
    def _names_one(self) -> "ReplayRequested":
        if (self.event_id is None) == (self.origin_key is None):
            raise ValueError("exactly one of event_id and origin_key")
        return self


class DismissalRequested(Event):
    """An operator asks a service to let a record go that is no event, and its key go on; the service obeys and logs.

    `because` is why, in the operator's words. A record that can be read is never let go: it is tried again instead.
    """

    topic: ClassVar[str] = "ops.commands"
    key_field: ClassVar[str] = "service"

    service: str
    consumer: str
    origin_topic: str
    origin_partition: int = Field(ge=0)
    origin_offset: int = Field(ge=0)
    because: Because
    requested_by: str


class EventQuarantined(Event):
    """A record was set aside and its key halted; the raw bytes stay in that service's database.

    `origin_key` is the record's key as text, bytes that are not UTF-8 escaped with backslashes; empty if it had none.
    """

    topic: ClassVar[str] = "dead-letters"
    key_field: ClassVar[str] = "origin_key"

    service: str
    consumer: str
    origin_topic: str
    origin_partition: int = Field(ge=0)
    origin_offset: int = Field(ge=0)
    origin_key: str
    event_id: str | None = None
    reason: str
    attempts: int = Field(ge=1)

    @property
    def topic_name(self) -> str:
        """Each service has dead letters of its own."""
        return f"{self.service}.{self.topic}"


class QuarantineLifted(Event):
    """A record that was set aside is so no more: it had its effect in a replay, or an operator dismissed it."""

    topic: ClassVar[str] = "dead-letters"
    key_field: ClassVar[str] = "origin_key"

    service: str
    consumer: str
    origin_topic: str
    origin_partition: int = Field(ge=0)
    origin_offset: int = Field(ge=0)
    origin_key: str
    how: Literal["replayed", "dismissed"]
    because: str | None = None
    requested_by: str

    @property
    def topic_name(self) -> str:
        """Each service has dead letters of its own."""
        return f"{self.service}.{self.topic}"
