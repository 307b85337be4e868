"""Owns the start and the end of a hop: consumers are held at their first effect until all events lie on the topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from shared.events.topics import DEFAULT_PARTITIONS
from tests.hops import Record

LOOK_EVERY_S = 0.01
WITHIN_S = 60
HELD = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'inbox'::regclass"
# Within a partition a consumer goes in order: whoever has the last of each has them all.
DONE = """
SELECT (SELECT count(*) FROM inbox WHERE consumer = ANY($1) AND event_id = ANY($2::uuid[])) = cardinality($2::uuid[])
    AND NOT EXISTS (SELECT FROM outbox)
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What lies on the topics: how many events, and the id of the last in each partition."""

    events: int
    last: Sequence[str]


@asynccontextmanager
async def closed_gate(owner: asyncpg.Connection) -> AsyncIterator[None]:
    """Hold whoever comes to the inbox; let them in at the end."""
    async with owner.transaction():
        await owner.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
        yield


async def until_held(owner: asyncpg.Connection, consumers: int = 1) -> None:
    """Wait until so many consumers stand at the gate. Raises TimeoutError."""
    async with asyncio.timeout(WITHIN_S):
        while await owner.fetchval(HELD) < consumers:
            await asyncio.sleep(LOOK_EVERY_S)


async def until_done(owner: asyncpg.Connection, groups: Sequence[str], work: Work) -> None:
    """Wait until every event has its effect, and what follows from them has left. Raises TimeoutError."""
    async with asyncio.timeout(WITHIN_S):
        while not await owner.fetchval(DONE, list(groups), list(work.last)):
            await asyncio.sleep(LOOK_EVERY_S)


async def produce(kafka: str, records: Sequence[Record], topics: Mapping[str, str]) -> Work:
    """Put records on topics (`topics` says which stands for which), in order per key."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all")
    await producer.start()
    try:
        sent = [
            await producer.send(topics[each.topic], each.value, key=each.key, headers=each.headers) for each in records
        ]
        last: dict[tuple[str, int], tuple[int, str]] = {}
        for each, at in zip(records, await asyncio.gather(*sent), strict=True):
            place = (at.topic, at.partition)
            last[place] = max(last.get(place, (-1, "")), (at.offset, each.event_id))
        return Work(len(records), [event_id for _, event_id in last.values()])
    finally:
        await producer.stop()


async def ends_of(kafka: str, topic: str) -> dict[TopicPartition, int]:
    """The offset after the last record of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets(
            [TopicPartition(topic, number) for number in range(DEFAULT_PARTITIONS)]
        )
        return found
    finally:
        await consumer.stop()


async def begin_at_the_end(kafka: str, group: str, topic: str) -> None:
    """Let a group that nobody is in begin after what lies on a topic now."""
    ends = await ends_of(kafka, topic)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(ends))
        await consumer.commit({each: OffsetAndMetadata(offset, "") for each, offset in ends.items()})
    finally:
        await consumer.stop()
