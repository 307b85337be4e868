"""Owns what is set aside: dead letters, halted keys and the records parked behind them; it never drops a byte."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.clock import business_now
from shared.events.ops import EventQuarantined, QuarantineLifted
from shared.ids import new_id
from shared.messaging.failures import reason_of
from shared.messaging.records import RawRecord, event_id_of, pack_headers, printable_key, unpack_headers
from shared.telemetry import EVENTS_QUARANTINED, Cause

if TYPE_CHECKING:
    from shared.db import Row, Transaction


PARK = """
INSERT INTO parked_record (consumer, topic, partition, "offset", key, value, headers, timestamp_ms)
SELECT :consumer, r.* FROM unnest(
    CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]), CAST(:keys AS bytea[]),
    CAST(:values AS bytea[]), CAST(:headers AS bytea[]), CAST(:timestamps AS bigint[])) AS r
ON CONFLICT DO NOTHING
"""
# A shared lock: a replay holds the row exclusively while it drains, so nothing is parked behind its back.
HALTED = """
SELECT key FROM halted_key
WHERE consumer = :consumer AND topic = :topic
    AND key_sha256 IN (SELECT sha256(k) FROM unnest(CAST(:keys AS bytea[])) AS k) FOR SHARE
"""
HALT = """
INSERT INTO halted_key (consumer, topic, key, cause) VALUES (:consumer, :topic, :key, :cause)
ON CONFLICT (consumer, topic, key_sha256) DO UPDATE SET cause = excluded.cause
"""
SET_ASIDE = """
INSERT INTO dead_letter (id, consumer, topic, partition, "offset", key, value, headers, timestamp_ms, event_id, reason,
                         attempts)
VALUES (CAST(:id AS uuid), :consumer, :topic, :partition, :offset, :key, :value, :headers, :timestamp_ms, :event_id,
        :reason, :attempts)
ON CONFLICT (consumer, topic, partition, "offset")
DO UPDATE SET reason = excluded.reason, attempts = dead_letter.attempts + excluded.attempts, replayed_at = NULL
"""
HAS_ENDED = """
SELECT 1 FROM dead_letter
WHERE consumer = :consumer AND topic = :topic AND partition = :partition AND "offset" = :offset
    AND replayed_at IS NOT NULL
"""
END = """
UPDATE dead_letter SET replayed_at = now(), replayed_by = :by,
    reason = reason || COALESCE('; dismissed: ' || CAST(:because AS text), '')
WHERE consumer = :consumer AND topic = :topic AND partition = :partition AND "offset" = :offset
    AND replayed_at IS NULL
"""


async def halted_among(tx: "Transaction", consumer: str, records: Sequence[RawRecord]) -> set[bytes]:
    """The keys of these records (all of one topic) that are halted for the consumer, locked against a replay."""
    keys = {record.key for record in records if record.key is not None}
    if not keys:
        return set()
    rows = await tx.fetch_all(HALTED, consumer=consumer, topic=records[0].topic, keys=sorted(keys))
    return {row["key"] for row in rows}


async def park(tx: "Transaction", consumer: str, records: Sequence[RawRecord]) -> None:
    """Keep records of halted keys, raw and in order, until a replay."""
    if not records:
        return
    await tx.execute(
        PARK,
        consumer=consumer,
        topics=[r.topic for r in records],
        partitions=[r.partition for r in records],
        offsets=[r.offset for r in records],
        keys=[r.key for r in records],
        values=[r.value for r in records],
        headers=[pack_headers(r.headers) for r in records],
        timestamps=[r.timestamp_ms for r in records],
    )


async def halt(tx: "Transaction", consumer: str, record: RawRecord, cause: str) -> None:
    """Halt the (consumer, topic, key) of a record; a record without a key stops nothing."""
    if record.key is not None:
        await tx.execute(HALT, consumer=consumer, topic=record.topic, key=record.key, cause=cause)


async def quarantine(
    tx: "Transaction",
    consumer: str,
    record: RawRecord,
    failure: BaseException,
    attempts: int,
    *,
    halts: bool = True,
    described: bool = True,
) -> None:
    """Set a record aside byte for byte, halt its key if it `halts`, and say so in an event, in the open transaction.

    Not `described`: nothing of its own words goes into the row or the event, only its bytes and its place.
    """
    reason = reason_of(failure)
    event_id = event_id_of(record) if described else None
    key = printable_key(record.key) if described else record.place
    await tx.execute(
        SET_ASIDE,
        id=new_id(),
        consumer=consumer,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=pack_headers(record.headers),
        timestamp_ms=record.timestamp_ms,
        event_id=event_id,
        reason=reason,
        attempts=attempts,
    )
    if halts:
        await halt(tx, consumer, record, "quarantined")
    tx.outbox.record(
        _said(tx.outbox.service, consumer, record, key, event_id, reason, attempts),
        Cause.anew(f"record:{record.place}"),
    )
    EVENTS_QUARANTINED.labels(consumer).inc()


def _said(
    service: str, consumer: str, record: RawRecord, key: str, event_id: str | None, reason: str, attempts: int
) -> EventQuarantined:
    return EventQuarantined(
        occurred_at=business_now(),
        service=service,
        consumer=consumer,
        origin_topic=record.topic,
        origin_partition=record.partition,
        origin_offset=record.offset,
        origin_key=key,
        event_id=event_id,
        reason=reason,
        attempts=attempts,
    )


async def has_ended(tx: "Transaction", consumer: str, record: RawRecord) -> bool:
    """Whether the record at this place was a dead letter and is none any more."""
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    return await tx.fetch_value(HAS_ENDED, consumer=consumer, **place) is not None


async def lift(tx: "Transaction", consumer: str, record: RawRecord, by: str, because: str | None = None) -> bool:
    """End a dead letter, and say so: it had its effect, or somebody dismissed it and why. False if it had ended."""
    ended = await tx.execute(
        END, consumer=consumer, topic=record.topic, partition=record.partition, offset=record.offset, by=by,
        because=because,
    )  # fmt: skip
    if not ended:
        return False
    lifted = QuarantineLifted(
        occurred_at=business_now(),
        service=tx.outbox.service,
        consumer=consumer,
        origin_topic=record.topic,
        origin_partition=record.partition,
        origin_offset=record.offset,
        origin_key=printable_key(record.key),
        how="replayed" if because is None else "dismissed",
        because=because,
        requested_by=by,
    )
    tx.outbox.record(lifted, Cause.anew(f"record:{record.place}"))
    return True


def as_record(row: "Row") -> RawRecord:
    """A row of dead_letter or parked_record as the record that it was."""
    return RawRecord(
        row["topic"], row["partition"], row["offset"], row["key"], row["value"], unpack_headers(row["headers"]),
        row["timestamp_ms"],
    )  # fmt: skip
