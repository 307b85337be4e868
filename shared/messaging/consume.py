"""Owns at-least-once consumption with effects exactly once: one transaction per batch, then the acknowledgement.

A batch is retried for ever while a dependency is away. If one of its records cannot be handled, the batch is redone
singly, in savepoints; after three tries that record is set aside and its key halted (`docs/design.md` §4).
"""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

import structlog

from shared.clock import business_now
from shared.config import Settings
from shared.crashpoints import crash_point
from shared.db import Database, Transaction
from shared.events.topics import BY_NAME
from shared.health import Progress
from shared.messaging import inbox, quarantine
from shared.messaging.failures import Malformed, UnknownType, Verdict, judge, reason_of
from shared.messaging.records import Delivery, Erasure, RawRecord, read_record
from shared.messaging.subscriptions import Subscriptions
from shared.telemetry import BATCH_SECONDS, EVENTS_HANDLED, EVENTS_REPEATED, RETRIES

log = structlog.get_logger()

TRIES = 3

Received = Delivery[Any] | Erasure


class Consumer:
    """Everything that one service does with one topic. `name` is its consumer group and its name in the inbox."""

    def __init__(self, db: Database, subscriptions: Subscriptions, topic: str, settings: Settings) -> None:
        self.name = f"{subscriptions.service}.{topic}"
        self.topic = topic
        self.progress = Progress(f"consumer {self.name}")
        # A command that is broken must not take away those that would let it go.
        self._ordered = topic not in BY_NAME or BY_NAME[topic].ordered
        self._db = db
        self._subscriptions = subscriptions
        self._settings = settings

    async def take(self, records: Sequence[RawRecord]) -> None:
        """Write the effect of a batch, whatever it takes; returns when it is committed and may be acknowledged."""
        singly, pause = False, self._settings.retry_first_s
        self.progress.began()
        while True:
            started = time.perf_counter()
            try:
                await self._write(records, singly=singly)
            except Exception as failure:  # noqa: BLE001 - judged: every failure means again, singly or after a pause
                verdict = judge(failure)
                self.progress.failed(reason_of(failure), ours=verdict is Verdict.OURS)
                if verdict is Verdict.ASIDE and not singly:
                    singly = True
                    continue
                RETRIES.labels(self.name).inc()
                log.warning(
                    "consume.batch_again", consumer=self.name, verdict=verdict.value, reason=reason_of(failure),
                    pause_s=round(pause, 2),
                )  # fmt: skip
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads retries, no secret
                pause = min(pause * 2, self._settings.retry_longest_s)
            else:
                BATCH_SECONDS.labels(self.name).observe(time.perf_counter() - started)
                self.progress.succeeded()
                return

    async def replay_unknown(self) -> None:
        """Try again what was parked for its unknown type: this program may know it now. Called at start."""
        async with self._db.transaction() as tx:
            rows = await tx.fetch_all(
                "SELECT key FROM halted_key WHERE consumer = :consumer AND cause = 'unknown_type'", consumer=self.name
            )
        for row in rows:
            await self.replay(row["key"], "start")

    async def replay(self, key: bytes, requested_by: str) -> bool:
        """Drain a halted key in offset order under the lock of its halt; whether the halt could be lifted.

        A record that fails again stays the key's dead letter; what it had waiting behind it stays parked.
        """
        async with self._db.transaction() as tx:
            return await self._is_halted(tx, key) and await self._drain(tx, key, requested_by)

    async def dismiss(self, partition: int, offset: int, because: str, requested_by: str) -> bool:
        """Let a dead letter go that is no event, and let its key go on; False if its key has to wait for more.

        What can be read is never let go, since no event may be without its effect: it is tried again instead.
        """
        async with self._db.transaction() as tx:
            row = await tx.fetch_one(LETTER, consumer=self.name, topic=self.topic, partition=partition, offset=offset)
            if row is None:
                return False
            halted = row["key"] is not None and await self._is_halted(tx, row["key"])
            record = quarantine.as_record(row)
            kept = self._ordered and self._is_event(record)
            if not kept and await quarantine.lift(tx, self.name, record, requested_by, because):
                await self._unpark(tx, record)
                log.info("consume.dismissed", consumer=self.name, place=record.place, requested_by=requested_by)
            return not halted or await self._drain(tx, row["key"], requested_by)

    async def _is_halted(self, tx: Transaction, key: bytes) -> bool:
        """Whether a key is halted; its halt is locked then."""
        return await tx.fetch_one(HELD, consumer=self.name, topic=self.topic, key=key) is not None

    async def _drain(self, tx: Transaction, key: bytes, requested_by: str) -> bool:
        """Handle what waits behind a halt that is locked, in order, and lift it; False at a record that fails."""
        waiting = await tx.fetch_all(WAITING, consumer=self.name, topic=self.topic, key=key)
        for row in waiting:
            record = quarantine.as_record(row)
            if not await self._one(tx, record):
                return False
            await quarantine.lift(tx, self.name, record, requested_by)
            await self._unpark(tx, record)
        await tx.execute(LIFT, consumer=self.name, topic=self.topic, key=key)
        log.info("consume.key_replayed", consumer=self.name, records=len(waiting), requested_by=requested_by)
        return True

    async def _unpark(self, tx: Transaction, record: RawRecord) -> None:
        await tx.execute(
            UNPARK, consumer=self.name, topic=record.topic, partition=record.partition, offset=record.offset
        )

    def _is_event(self, record: RawRecord) -> bool:
        """Whether a record is an event of the declared language, be it one of a later program's."""
        try:
            self._refuse_stray_erasures([read_record(record)])
        except UnknownType:
            return True
        except Malformed:
            return False
        return True

    async def _write(self, records: Sequence[RawRecord], *, singly: bool) -> None:
        async with self._db.transaction() as tx:
            halted = await quarantine.halted_among(tx, self.name, records)
            if halted:
                await quarantine.park(tx, self.name, [r for r in records if r.key in halted])
                records = [r for r in records if r.key not in halted]
            if singly:
                await self._write_singly(tx, records)
            else:
                await self._handle(tx, [read_record(record) for record in records])

    async def _write_singly(self, tx: Transaction, records: Sequence[RawRecord]) -> None:
        halted: set[bytes] = set()
        for record in records:
            if record.key is not None and record.key in halted:
                await quarantine.park(tx, self.name, [record])
            elif not await self._one(tx, record) and record.key is not None and self._ordered:
                halted.add(record.key)

    async def _one(self, tx: Transaction, record: RawRecord) -> bool:
        """Handle one record alone; False if it had to be set aside. Raises what asks for the whole batch again."""
        for attempt in range(1, TRIES + 1):
            try:
                async with tx.savepoint():
                    await self._handle(tx, [read_record(record)])
            except Exception as failure:
                if judge(failure) is not Verdict.ASIDE:
                    raise
                if self._ordered and isinstance(failure, UnknownType):
                    log.warning("consume.key_parked", consumer=self.name, place=record.place, reason=str(failure))
                    await quarantine.park(tx, self.name, [record])
                    await quarantine.halt(tx, self.name, record, "unknown_type")
                    return False
                if attempt == TRIES:
                    if await quarantine.has_ended(tx, self.name, record):
                        return True  # it was let go, and came again
                    log.error(  # noqa: TRY400 - the trace would quote the record
                        "consume.quarantined", consumer=self.name, place=record.place, reason=reason_of(failure)
                    )
                    await self._set_aside(tx, record, failure, attempt)
                    return False
            else:
                return True
        raise AssertionError("unreachable: the last try returns")

    async def _set_aside(self, tx: Transaction, record: RawRecord, failure: Exception, attempts: int) -> None:
        """Quarantine a record; one that defeats even its description is kept with its bytes and its place alone."""
        try:
            async with tx.savepoint():
                await quarantine.quarantine(tx, self.name, record, failure, attempts, halts=self._ordered)
        except Exception as second:
            if judge(second) is not Verdict.ASIDE:
                raise
            bare = Malformed("the record could not be described")
            await quarantine.quarantine(tx, self.name, record, bare, attempts, halts=self._ordered, described=False)

    async def _handle(self, tx: Transaction, received: Sequence[Received]) -> None:
        """Claim, then give each handler its fresh deliveries, keeping the order of every key."""
        self._refuse_stray_erasures(received)
        wanted = [each for each in received if self._subscriptions.handler_of(each) is not None]
        fresh_ids = await inbox.claim(tx, self.name, [each.event_id for each in wanted])
        crash_point("consume.claimed")
        fresh = []
        for each in wanted:
            if each.event_id in fresh_ids:
                fresh_ids.discard(each.event_id)
                fresh.append(each)
        EVENTS_REPEATED.labels(self.name).inc(len(wanted) - len(fresh))
        now = business_now()
        for group in in_key_order(fresh):
            handler = self._subscriptions.handler_of(group[0])
            assert handler is not None  # noqa: S101 - only wanted deliveries are left
            await handler(group, tx, now)  # type: ignore[arg-type]
            crash_point("consume.written")
            EVENTS_HANDLED.labels(self.name).inc(len(group))

    def _refuse_stray_erasures(self, received: Sequence[Received]) -> None:
        if any(isinstance(each, Erasure) for each in received) and not self._subscriptions.takes_erasures_on(
            self.topic
        ):
            raise Malformed("a tombstone on a topic that has none")


HELD = """
SELECT key FROM halted_key WHERE consumer = :consumer AND topic = :topic AND key_sha256 = sha256(:key) FOR UPDATE
"""
LIFT = "DELETE FROM halted_key WHERE consumer = :consumer AND topic = :topic AND key_sha256 = sha256(:key)"
WAITING = """
SELECT topic, partition, "offset", key, value, headers, timestamp_ms FROM dead_letter
WHERE consumer = :consumer AND topic = :topic AND key_sha256 = sha256(:key) AND replayed_at IS NULL
UNION ALL
SELECT topic, partition, "offset", key, value, headers, timestamp_ms FROM parked_record AS p
WHERE consumer = :consumer AND topic = :topic AND key_sha256 = sha256(:key) AND NOT EXISTS (
    SELECT FROM dead_letter d WHERE d.consumer = p.consumer AND d.topic = p.topic AND d.partition = p.partition
        AND d."offset" = p."offset" AND d.replayed_at IS NULL)
ORDER BY partition, "offset"
"""
LETTER = """
SELECT topic, partition, "offset", key, value, headers, timestamp_ms FROM dead_letter
WHERE consumer = :consumer AND topic = :topic AND partition = :partition AND "offset" = :offset
    AND replayed_at IS NULL
"""
UNPARK = """
DELETE FROM parked_record
WHERE consumer = :consumer AND topic = :topic AND partition = :partition AND "offset" = :offset
"""


def _kind(received: Received) -> type:
    return received.event_type if isinstance(received, Erasure) else type(received.event)


def in_key_order(received: Sequence[Received]) -> list[list[Received]]:
    """Group deliveries by type into few batches without moving one of a key before another of the same key."""
    if len({(_kind(each), type(each)) for each in received}) == 1:
        return [list(received)]
    groups: list[list[Received]] = []
    last_of_key: dict[str, int] = {}
    open_group: dict[tuple[type, bool], int] = {}
    for each in received:
        kind = (_kind(each), isinstance(each, Erasure))
        at = open_group.get(kind, -1)
        if at < last_of_key.get(each.key, 0) or at == -1:
            groups.append([])
            at = open_group[kind] = len(groups) - 1
        groups[at].append(each)
        last_of_key[each.key] = at
    return groups
