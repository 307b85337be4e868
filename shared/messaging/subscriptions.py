"""Owns which handler of a service takes which event; it delivers nothing.

subscribe = Subscriptions("funding")

@subscribe(Scored)
async def on_scored(deliveries, tx, now): ...
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from shared.events.base import Event
from shared.events.topics import BY_NAME
from shared.messaging.records import Delivery, Erasure

if TYPE_CHECKING:
    from shared.db import Transaction

E = TypeVar("E", bound=Event)
Handler = Callable[[Sequence[Delivery[E]], "Transaction", datetime], Awaitable[None]]
ErasureHandler = Callable[[Sequence[Erasure], "Transaction", datetime], Awaitable[None]]


class Subscriptions:
    """The events that one service listens to, by topic."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._handlers: dict[type[Event], Handler[Any]] = {}
        self._erasures: dict[type[Event], ErasureHandler] = {}

    def __call__(self, event_type: type[E]) -> Callable[[Handler[E]], Handler[E]]:
        """Subscribe a handler to an event type."""

        def subscribe(handler: Handler[E]) -> Handler[E]:
            self._may_read(event_type)
            self._handlers[event_type] = handler
            return handler

        return subscribe

    def erased(self, event_type: type[Event]) -> Callable[[ErasureHandler], ErasureHandler]:
        """Subscribe a handler to the tombstones of a compacted topic."""

        def subscribe(handler: ErasureHandler) -> ErasureHandler:
            self._may_read(event_type)
            self._erasures[event_type] = handler
            return handler

        return subscribe

    @property
    def topics(self) -> list[str]:
        """The topics that something is subscribed on, in the declared order."""
        wanted = {event_type.topic for event_type in (*self._handlers, *self._erasures)}
        return [name for name in BY_NAME if name in wanted]

    def handler_of(self, received: Delivery[Event] | Erasure) -> Handler[Any] | ErasureHandler | None:
        """Who takes a received record, or None where this service has no use for it."""
        if isinstance(received, Erasure):
            return self._erasures.get(received.event_type)
        return self._handlers.get(type(received.event))

    def handles(self, event_type: type[Event]) -> bool:
        """Whether something is subscribed to this type."""
        return event_type in self._handlers

    def takes_erasures_on(self, topic: str) -> bool:
        """Whether tombstones mean something on that topic."""
        return any(event_type.topic == topic for event_type in self._erasures)

    def _may_read(self, event_type: type[Event]) -> None:
        if self.service not in BY_NAME[event_type.topic].readers:
            raise ValueError(f"{self.service} is not a declared reader of {event_type.topic}")
