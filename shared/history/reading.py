"""Owns reading topics without a group: from a place to their current end, or on as they grow; it commits no offset."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.events.topics import TOPICS
from shared.history.recorded import History, recorded_of
from shared.messaging.broker import as_raw
from shared.messaging.fetching import next_records
from shared.messaging.records import RawRecord

IMPERSONAL_TOPICS: tuple[str, ...] = tuple(topic.name for topic in TOPICS if not topic.personal)
"""Every declared topic but contacts and sign-ins: those are read only where somebody asks for them by name."""

BATCH = 5000
WAIT_MS = 200


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins in every partition: the beginning, the end, a time, or an offset."""

    at: datetime | None = None
    offset: int | None = None
    end: bool = False


BEGINNING, END = Start(), Start(end=True)

Wanted = Callable[[RawRecord], bool]
"""Whether somebody wants a record: asked before it is kept or read."""


def everything(_: RawRecord) -> bool:
    """Every record is wanted."""
    return True


async def read_history(bootstrap: str, topics: Iterable[str] = IMPERSONAL_TOPICS) -> History:
    """Everything recorded on the topics up to their ends at this moment. Raises aiokafka.errors.KafkaError."""
    return History.of([recorded_of(raw) async for raw in read_raw(bootstrap, topics)])


async def read_raw(
    bootstrap: str, topics: Iterable[str] = IMPERSONAL_TOPICS, start: Start = BEGINNING, wanted: Wanted = everything
) -> AsyncIterator[RawRecord]:
    """The wanted records from a start to the ends at this moment; within a partition in order."""
    async with _assigned(bootstrap, topics) as (consumer, partitions):
        await _begin(consumer, partitions, start)
        async for records in _to_the_ends(consumer, bootstrap, partitions):
            for record in records:
                if wanted(record):
                    yield record


async def follow_raw(
    bootstrap: str, topics: Iterable[str] = IMPERSONAL_TOPICS, start: Start = END, wanted: Wanted = everything
) -> AsyncIterator[RawRecord | None]:
    """The wanted records from a start, by the broker's time, then those that come, for ever; None when none came.

    Partitions are read one after the other: what lies before the ends of this moment is sorted once it is all here.
    """
    async with _assigned(bootstrap, topics) as (consumer, partitions):
        await _begin(consumer, partitions, start)
        behind: list[RawRecord] = []
        async for records in _to_the_ends(consumer, bootstrap, partitions):
            behind += filter(wanted, records)
        consumer.resume(*partitions)
        for record in sorted(behind, key=_recorded_at):
            yield record
        while True:
            fresh = [raw for raw in await _next(consumer, bootstrap, partitions) if wanted(raw)]
            for record in sorted(fresh, key=_recorded_at):
                yield record
            if not fresh:
                yield None


def _recorded_at(record: RawRecord) -> int:
    return record.timestamp_ms


async def _to_the_ends(
    consumer: AIOKafkaConsumer, bootstrap: str, partitions: Sequence[TopicPartition]
) -> AsyncIterator[Sequence[RawRecord]]:
    """Batches up to the ends at this moment; afterwards each partition stands at its end or a little beyond."""
    ends = await consumer.end_offsets(partitions) if partitions else {}
    left = set(partitions)
    while True:
        done = {each for each in left if await consumer.position(each) >= ends[each]}
        consumer.pause(*done)
        left -= done
        if not left:
            return
        # A record beyond the end is the future, but leaving it out would lose it to who reads on.
        yield await _next(consumer, bootstrap, left)


async def _next(consumer: AIOKafkaConsumer, bootstrap: str, partitions: Iterable[TopicPartition]) -> list[RawRecord]:
    standing = {each: await consumer.position(each) for each in partitions}
    found = await next_records(consumer, bootstrap, timeout_ms=WAIT_MS, max_records=BATCH, standing=standing)
    return [as_raw(record) for record in found]


async def read_one(bootstrap: str, topic: str, partition: int, offset: int) -> RawRecord | None:
    """One record at its place, or None if the topic no longer holds it."""
    async with _assigned(bootstrap, [topic]) as (consumer, partitions):
        place = TopicPartition(topic, partition)
        if place not in partitions:
            return None
        begins, ends = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
        if not begins[place] <= offset < ends[place]:
            return None
        consumer.pause(*(each for each in partitions if each != place))
        consumer.seek(place, offset)
        async with asyncio.timeout(10):
            while not (found := await _next(consumer, bootstrap, [place])):
                pass
        return found[0] if found[0].offset == offset else None


@asynccontextmanager
async def _assigned(
    bootstrap: str, topics: Iterable[str]
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    partitions = await partitions_of(bootstrap, topics)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id="releve-reading",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    # The client's stop() awaits a task of its own that start() made: cancelled before its first step, it would raise.
    await asyncio.sleep(0)
    try:
        if partitions:
            consumer.assign(partitions)
        yield consumer, partitions
    finally:
        await consumer.stop()


async def partitions_of(bootstrap: str, topics: Iterable[str]) -> list[TopicPartition]:
    """Every partition of those topics that exist."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="releve-reading")
    await admin.start()
    try:
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    return [
        TopicPartition(topic["topic"], part["partition"])
        for topic in sorted(described, key=lambda each: str(each["topic"]))
        if topic["error_code"] == 0
        for part in sorted(topic["partitions"], key=lambda each: int(each["partition"]))
    ]


async def _begin(consumer: AIOKafkaConsumer, partitions: list[TopicPartition], start: Start) -> None:
    if not partitions:
        return
    ends = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    if start.at is not None:
        at_ms = int(start.at.timestamp() * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, at_ms))
        for each in partitions:
            consumer.seek(each, found[each].offset if found.get(each) is not None else ends[each])
        return
    for each in partitions:
        wanted = begins[each] if start.offset is None else min(max(start.offset, begins[each]), ends[each])
        consumer.seek(each, ends[each] if start.end else wanted)
