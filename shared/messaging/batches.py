"""Owns how outbox rows become Kafka batches, each of one partition, in the order of their ids; it sends nothing.

The client's own `send` costs a coroutine, two waits, a future and a slow hash for every record: more than all the rest
of a relay. A batch that is handed over as a whole costs them once, and is numbered and tried again the same.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.messaging.records import event_headers

BATCH_BYTES = 256 * 1024
"""A broker refuses a batch of a megabyte; a single larger row is a batch of its own."""
BREATHE_AFTER = 100
"""Rows that are packed without a pause, about a millisecond of it: requests may share this loop."""

_WORDS = 0xFFFFFFFF
_SEED, _FACTOR = 0x9747B28C, 0x5BD1E995


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, ready to be sent."""

    topic: str
    partition: int
    records: BatchBuilder


async def batches_of(
    rows: Sequence[asyncpg.Record], service: str, partitions: Mapping[str, int], empty: Callable[[], BatchBuilder]
) -> AsyncIterator[Batch]:
    """The rows as batches. A partition's follow in the order of the rows: one is given before its next is begun.

    `partitions` says how many each topic has; `empty` gives a new batch of the producer that will send it.
    """
    begun: dict[tuple[str, int], Batch] = {}
    for number, row in enumerate(rows):
        if number and number % BREATHE_AFTER == 0:
            await asyncio.sleep(0)
        topic, key = row["topic"], row["key"].encode()
        place = topic, partition_of(key, partitions[topic])
        batch = begun.get(place)
        if batch is None or not _added(batch, service, key, row):
            if batch is not None:
                yield batch
            batch = begun[place] = Batch(*place, empty())
            if not _added(batch, service, key, row):
                raise RuntimeError(f"an empty batch refuses the event {row['event_id']}")  # never sent, never deleted
    for batch in begun.values():
        yield batch


def _added(batch: Batch, service: str, key: bytes, row: asyncpg.Record) -> bool:
    """Add a row unless the batch is full; an empty one never is."""
    headers = event_headers(
        str(row["event_id"]), row["type"], service, row["key"], row["time"].isoformat(), row["sequence"],
        row["causation_id"], row["traceparent"],
    )  # fmt: skip
    return batch.records.append(timestamp=None, key=key, value=row["payload"], headers=headers) is not None


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key as every client of Kafka reckons it: murmur2, as the Java client has it."""
    length = len(key)
    words = length // 4
    mixed = _SEED ^ length
    for word in struct.unpack_from(f"<{words}I", key):
        product = word * _FACTOR & _WORDS
        mixed = (mixed * _FACTOR & _WORDS) ^ ((product ^ product >> 24) * _FACTOR & _WORDS)
    if rest := key[words * 4 :]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * _FACTOR & _WORDS
    mixed = (mixed ^ mixed >> 13) * _FACTOR & _WORDS
    return ((mixed ^ mixed >> 15) & 0x7FFFFFFF) % partitions
