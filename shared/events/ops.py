"""Owns what operations and every service's quarantine say: replays asked for, records set aside."""

from typing import ClassVar

from pydantic import Field, model_validator

from shared.events.base import Event


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
