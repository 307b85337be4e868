"""One service of a test: its real consumers on a real database, at a clock that the test moves; every batch twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from shared.clock import write_clock
from shared.config import ServiceSettings
from shared.db import Database
from shared.events.base import EVENT_TYPES, Event
from shared.events.intake import RoundClosed
from shared.ids import new_id
from shared.messaging.consume import Consumer
from shared.messaging.records import RawRecord, event_headers
from shared.messaging.subscriptions import Subscriptions
from shared.telemetry import Cause

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CAUSE = Cause("test:1", TRACE)


class ServiceBench:
    """Gives events to a service as Kafka would, and reads what it says and keeps."""

    def __init__(self, db: Database, subscriptions: Subscriptions, clock: Path) -> None:
        self.db = db
        self.clock = clock
        self._sequences: Counter[tuple[str, str]] = Counter()
        self._offset = 0
        settings = ServiceSettings(retry_first_s=0.01, retry_longest_s=0.05)
        self._consumers = {topic: Consumer(db, subscriptions, topic, settings) for topic in subscriptions.topics}

    def at(self, instant: datetime) -> None:
        """Move business time."""
        write_clock(self.clock, instant)

    def record(self, event: Event) -> RawRecord:
        """An event as its topic would hold it; of one key in the order of these calls."""
        self._sequences[event.topic_name, event.key] += 1
        self._offset += 1
        headers = event_headers(
            new_id(), event.type_name(), "test", event.key, "2030-01-01T00:00:00Z",
            self._sequences[event.topic_name, event.key], CAUSE.id, TRACE,
        )  # fmt: skip
        payload = event.model_dump_json().encode()
        return RawRecord(event.topic_name, 0, self._offset, event.key.encode(), payload, tuple(headers))

    async def take(self, records: Sequence[RawRecord]) -> None:
        """Give records of one topic to its consumer as one batch."""
        await self._consumers[records[0].topic].take(records)

    async def receive(self, *events: Event) -> None:
        """Deliver events in this order, in batches as long as the topic stays the same, and each batch twice."""
        for _, records in groupby(map(self.record, events), key=lambda record: record.topic):
            batch = list(records)
            await self.take(batch)
            await self.take(batch)
        assert await self.rows("SELECT reason FROM dead_letter") == []

    async def events(self, *names: str) -> list[Any]:
        """What the service has said, in order, of these types if named."""
        rows = await self.rows("SELECT type, payload FROM outbox ORDER BY id")
        said: list[Any] = [EVENT_TYPES[row["type"]].model_validate_json(row["payload"]) for row in rows]
        return [each for each in said if not names or type(each).__name__ in names]

    async def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self.db.transaction() as tx:
            return [dict(row) for row in await tx.fetch_all(sql, **parameters)]

    async def value(self, sql: str, **parameters: Any) -> Any:
        async with self.db.transaction() as tx:
            return await tx.fetch_value(sql, **parameters)


def round_closed(call_id: str, round_id: str, at: datetime, ids: Sequence[str], call_version: int = 1) -> RoundClosed:
    """A round's closing with the count and the hash of these applications."""
    digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
    return RoundClosed(
        occurred_at=at, call_id=call_id, call_version=call_version, round_id=round_id, closed_at=at,
        submitted=len(ids), applications_sha256=digest,
    )  # fmt: skip
