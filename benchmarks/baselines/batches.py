"""The limit of sending: whole batches, each of one partition; the client's `send` costs each record as much again."""

import asyncio
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

BATCH_BYTES = 256 * 1024
PIECE = 2000

Headers = list[tuple[str, bytes]]
Record = tuple[str, bytes, bytes, Headers]
"""Topic, key, value and headers."""


def producer_of_batches(kafka: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, acks="all", max_batch_size=BATCH_BYTES
    )  # fmt: skip


async def send(producer: AIOKafkaProducer, records: Iterable[Record]) -> list[asyncio.Future[Any]]:
    """Hand them over in order per key; what is given is done when they are acknowledged."""
    sent, begun, partitions = [], {}, {}
    for topic, key, value, headers in records:
        if topic not in partitions:
            partitions[topic] = len(await producer.partitions_for(topic))
        place = topic, partition_of(key, partitions[topic])
        if place not in begun:
            begun[place] = producer.create_batch()
        if begun[place].append(key=key, value=value, timestamp=None, headers=headers) is None:
            sent.append(await producer.send_batch(begun[place], topic, partition=place[1]))
            begun[place] = producer.create_batch()
            begun[place].append(key=key, value=value, timestamp=None, headers=headers)
    return sent + [
        await producer.send_batch(batch, topic, partition=number) for (topic, number), batch in begun.items()
    ]


async def send_all(producer: AIOKafkaProducer, cursor: Any, record_of: Callable[[Any], Record]) -> None:
    """Every row of a cursor, acknowledged; the next piece is read while the last one is under way."""
    before: list[asyncio.Future[Any]] = []
    while rows := await cursor.fetch(PIECE):
        sent = await send(producer, map(record_of, rows))
        await asyncio.gather(*before)
        before = sent
    await asyncio.gather(*before)


@lru_cache(maxsize=50_000)
def partition_of(key: bytes, partitions: int) -> int:
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
