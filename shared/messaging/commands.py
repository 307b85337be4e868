"""Owns obedience to operations: a halted key is drained, a record that is no event is let go; nothing else is asked."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from shared.events.ops import DismissalRequested, ReplayRequested
from shared.messaging.records import Delivery, printable_key
from shared.messaging.subscriptions import Subscriptions

if TYPE_CHECKING:
    from shared.db import Database, Transaction
    from shared.messaging.consume import Consumer

log = structlog.get_logger()

KEY_OF_EVENT = "SELECT key FROM dead_letter WHERE consumer = :consumer AND event_id = :event_id AND key IS NOT NULL"
KEYS_HALTED = "SELECT key FROM halted_key WHERE consumer = :consumer"


def obey_replays(subscriptions: Subscriptions, db: "Database", consumers: Sequence["Consumer"]) -> None:
    """Subscribe a service to the commands of operations. `consumers` may grow until the first command arrives."""

    async def on_replay_requested(
        deliveries: Sequence[Delivery[ReplayRequested]], tx: "Transaction", now: datetime
    ) -> None:
        for delivery in deliveries:
            if delivery.event.service == subscriptions.service:
                await replay_as_asked(delivery.event, db, consumers)

    async def on_dismissal_requested(
        deliveries: Sequence[Delivery[DismissalRequested]], tx: "Transaction", now: datetime
    ) -> None:
        for delivery in deliveries:
            if delivery.event.service == subscriptions.service:
                await dismiss_as_asked(delivery.event, consumers)

    subscriptions(ReplayRequested)(on_replay_requested)
    subscriptions(DismissalRequested)(on_dismissal_requested)


async def replay_as_asked(asked: ReplayRequested, db: "Database", consumers: Sequence["Consumer"]) -> None:
    """Drain the key that a command names, in transactions of its own: repeating a command is harmless."""
    consumer = _consumer_of(asked, consumers)
    if consumer is None:
        return
    for key in await _keys(asked, db):
        lifted = await consumer.replay(key, asked.requested_by)
        log.info("commands.replayed", consumer=asked.consumer, lifted=lifted, requested_by=asked.requested_by)


async def dismiss_as_asked(asked: DismissalRequested, consumers: Sequence["Consumer"]) -> None:
    """Let the record go that a command names, in a transaction of its own: repeating a command is harmless."""
    consumer = _consumer_of(asked, consumers)
    if consumer is None or consumer.topic != asked.origin_topic:
        return
    lifted = await consumer.dismiss(asked.origin_partition, asked.origin_offset, asked.because, asked.requested_by)
    log.info("commands.dismissed", consumer=asked.consumer, lifted=lifted, requested_by=asked.requested_by)


def _consumer_of(asked: ReplayRequested | DismissalRequested, consumers: Sequence["Consumer"]) -> "Consumer | None":
    consumer = next((each for each in consumers if each.name == asked.consumer), None)
    if consumer is None:
        log.warning("commands.consumer_unknown", consumer=asked.consumer, requested_by=asked.requested_by)
    return consumer


async def _keys(asked: ReplayRequested, db: "Database") -> list[bytes]:
    async with db.transaction() as tx:
        if asked.event_id is not None:
            rows = await tx.fetch_all(KEY_OF_EVENT, consumer=asked.consumer, event_id=asked.event_id)
            return list({row["key"] for row in rows})
        halted = await tx.fetch_all(KEYS_HALTED, consumer=asked.consumer)
    return [row["key"] for row in halted if printable_key(row["key"]) == asked.origin_key]
