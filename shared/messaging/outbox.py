"""Owns the outbox: events written in the transaction of their change, numbered per topic and key; it never publishes.

`ce_sequence` is 1, 2, 3 … without a gap: the counter's row is locked by the statement that writes the events, so the
order of ids within one key is the order of commits (`docs/design.md` §4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.clock import business_now
from shared.events.base import Event
from shared.ids import new_id
from shared.telemetry import Cause, follow_trace

if TYPE_CHECKING:
    from shared.db import Transaction

# The rows are numbered before their counters move, and their ids are drawn after the counters are locked.
WRITE = """
WITH entry AS (
    SELECT * FROM unnest(
        CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:event_ids AS uuid[]), CAST(:types AS text[]),
        CAST(:times AS timestamptz[]), CAST(:causes AS text[]), CAST(:traces AS text[]), CAST(:payloads AS bytea[])
    ) WITH ORDINALITY AS e (topic, key, event_id, type, time, causation_id, traceparent, payload, position)
), counter AS (
    INSERT INTO sequence_counter AS c (topic, key, value)
    SELECT topic, key, count(*) FROM entry GROUP BY topic, key ORDER BY topic, key
    ON CONFLICT (topic, key) DO UPDATE SET value = c.value + excluded.value
    RETURNING c.topic, c.key, c.value
), numbered AS (
    SELECT e.*, c.value - count(*) OVER (PARTITION BY e.topic, e.key)
                + row_number() OVER (PARTITION BY e.topic, e.key ORDER BY e.position) AS sequence
    FROM entry e JOIN counter c USING (topic, key)
)
INSERT INTO outbox (topic, key, event_id, type, sequence, time, causation_id, traceparent, payload)
SELECT topic, key, event_id, type, sequence, time, causation_id, traceparent, payload FROM numbered ORDER BY position
"""


@dataclass(frozen=True)
class Entry:
    """One event on its way into the outbox. `payload` is its JSON."""

    topic: str
    key: str
    event_id: str
    type: str
    time: datetime
    causation_id: str
    traceparent: str
    payload: bytes


class Outbox:
    """The outbox of one transaction. Entries are kept in memory and written as one statement before the commit."""

    def __init__(self, service: str, tx: "Transaction") -> None:
        self.service = service
        self.wrote = False
        self._tx = tx
        self._entries: list[Entry] = []
        self._now: datetime | None = None

    def record(self, event: Event, cause: Cause) -> str:
        """Record one event and what caused it; its new id. Stored when the transaction commits."""
        payload = event.model_dump_json().encode()
        return self._add(event.topic_name, event.key, event.type_name(), cause, payload)

    def mark(self) -> int:
        """Where the entries end now: for savepoints."""
        return len(self._entries)

    def forget(self, since: int) -> None:
        """Drop what was recorded since a mark."""
        del self._entries[since:]

    async def write(self, since: int = 0) -> None:
        """Write the entries recorded since a mark, in order, as one statement."""
        entries = self._entries[since:]
        if not entries:
            return
        self.forget(since)
        await self._tx.execute(WRITE, **_columns(entries))
        self.wrote = True

    def _add(self, topic: str, key: str, event_type: str, cause: Cause, payload: bytes) -> str:
        event_id = new_id()
        trace = follow_trace(cause.traceparent)
        if self._now is None:  # one transaction is one moment; a simulated clock costs a file each time
            self._now = business_now()
        self._entries.append(Entry(topic, key, event_id, event_type, self._now, cause.id, trace, payload))
        return event_id


def _columns(entries: Sequence[Entry]) -> dict[str, list[object]]:
    return {
        "topics": [e.topic for e in entries],
        "keys": [e.key for e in entries],
        "event_ids": [e.event_id for e in entries],
        "types": [e.type for e in entries],
        "times": [e.time for e in entries],
        "causes": [e.causation_id for e in entries],
        "traces": [e.traceparent for e in entries],
        "payloads": [e.payload for e in entries],
    }
