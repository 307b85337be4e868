"""Owns how runs start and end: consumers held at their first effect, an empty outbox, all records on a topic."""

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
CLAIMED = """
SELECT count(*) = cardinality($2::uuid[]) FROM inbox WHERE consumer = ANY($1) AND event_id = ANY($2::uuid[])
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
        while not await owner.fetchval(CLAIMED, list(groups), list(work.last)):
            await asyncio.sleep(LOOK_EVERY_S)
    await until_relayed(owner)


async def until_relayed(owner: asyncpg.Connection) -> None:
    """Wait until nothing is left in the outbox. Raises TimeoutError."""
    async with asyncio.timeout(WITHIN_S):
        while await owner.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
            await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def producing(kafka: str, *topics: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that keeps the order of each key, and knows already where these topics lie."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all")
    await producer.start()
    try:
        for topic in topics:
            await producer.partitions_for(topic)
        yield producer
    finally:
        await producer.stop()


async def put(producer: AIOKafkaProducer, records: Sequence[Record], topics: Mapping[str, str]) -> Work:
    """Put records on topics (`topics` says which stands for which), in order per key; all are acknowledged."""
    sent = [await producer.send(topics[each.topic], each.value, key=each.key, headers=each.headers) for each in records]
    last: dict[tuple[str, int], tuple[int, str]] = {}
    for each, at in zip(records, await asyncio.gather(*sent), strict=True):
        place = (at.topic, at.partition)
        last[place] = max(last.get(place, (-1, "")), (at.offset, each.event_id))
    return Work(len(records), [event_id for _, event_id in last.values()])


async def produce(kafka: str, records: Sequence[Record], topics: Mapping[str, str]) -> Work:
    """The same by a producer of its own."""
    async with producing(kafka) as producer:
        return await put(producer, records, topics)


@asynccontextmanager
async def looking(kafka: str, **settings: int | bool | str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that reads nothing before it is told what."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, **settings)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def ends_of(consumer: AIOKafkaConsumer, topic: str) -> dict[TopicPartition, int]:
    """The offset after the last record of each partition."""
    partitions = [TopicPartition(topic, number) for number in range(DEFAULT_PARTITIONS)]
    found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    return found


async def ever_on(consumer: AIOKafkaConsumer, topic: str) -> int:
    """How many records were ever on a topic."""
    return sum((await ends_of(consumer, topic)).values())


async def until_on(consumer: AIOKafkaConsumer, topic: str, wanted: int) -> None:
    """Wait until so many records were ever on a topic. Raises TimeoutError."""
    async with asyncio.timeout(WITHIN_S):
        while await ever_on(consumer, topic) < wanted:
            await asyncio.sleep(LOOK_EVERY_S)


async def begin_at_the_end(kafka: str, group: str, topic: str) -> None:
    """Let a group that nobody is in begin after what lies on a topic now."""
    async with looking(kafka, group_id=group, enable_auto_commit=False) as consumer:
        ends = await ends_of(consumer, topic)
        consumer.assign(list(ends))
        await consumer.commit({each: OffsetAndMetadata(offset, "") for each, offset in ends.items()})
