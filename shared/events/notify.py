"""Owns what notify says: letters that left and letters that could not; never an address."""

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.base import ApplicationEvent, Id


class DeliveryEvent(ApplicationEvent, abstract=True):
    """An event about one letter; `template` names its kind, such as receipt or awarded."""

    topic: ClassVar[str] = "notify.deliveries"

    delivery_id: Id
    template: str
    language: Literal["fr", "en"]
    message_id: str
    attempts: int = Field(ge=0)


class ApplicantNotified(DeliveryEvent):
    """The mail server took the letter."""


class NotificationFailed(DeliveryEvent):
    """The letter will not be sent: refused for good, or the contact was erased."""

    reason: str
