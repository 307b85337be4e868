"""Owns how far each consumer group is behind, in messages and in time, by Kafka's own offsets; it changes none."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError

from shared.events.topics import TOPICS
from shared.history.reading import partitions_of
from shared.messaging.fetching import next_records

LOOK_FOR_S = 3.0
"""How long to look for the oldest unread records; what is not found by then has a lag in messages only."""

COORDINATED_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Lag:
    """One group on one partition. `since` is when the oldest unread record was recorded; None if nothing is unread.

    `committed` is None where the group has never committed: all that the partition holds is unread.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    messages: int
    since: datetime | None = None

    def document(self, now: datetime) -> dict[str, Any]:
        """The same as plain values for JSON, with the lag in seconds at `now` (the real clock)."""
        seconds = max((now - self.since).total_seconds(), 0.0) if self.since else (None if self.messages else 0.0)
        return {
            "group": self.group, "topic": self.topic, "partition": self.partition, "committed": self.committed,
            "end": self.end, "messages": self.messages, "seconds": seconds,
        }  # fmt: skip


def declared_groups() -> dict[str, str]:
    """Every consumer group and its topic: one for each declared reader of each topic (`docs/design.md` §4)."""
    return {f"{reader}.{topic.name}": topic.name for topic in TOPICS for reader in topic.readers}


async def read_lag(bootstrap: str, groups: Mapping[str, str] | None = None) -> list[Lag]:
    """The lag of groups (all declared ones by default) on every partition of their topics. Raises KafkaError."""
    wanted = declared_groups() if groups is None else groups
    partitions = await partitions_of(bootstrap, sorted(set(wanted.values())))
    committed = await _committed(bootstrap, sorted(wanted))
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, client_id="releve-lag", group_id=None, enable_auto_commit=False
    )
    await consumer.start()
    await asyncio.sleep(0)  # as in reading.py
    try:
        begins = await consumer.beginning_offsets(partitions) if partitions else {}
        ends = await consumer.end_offsets(partitions) if partitions else {}
        found = [
            _lag(group, place, committed[group].get(place), begins[place], ends[place])
            for group, topic in sorted(wanted.items())
            for place in partitions
            if place.topic == topic
        ]
        return await _dated(consumer, bootstrap, found)
    finally:
        await consumer.stop()


def _lag(group: str, place: TopicPartition, committed: int | None, begin: int, end: int) -> Lag:
    unread = end - max(begin if committed is None else committed, begin)
    return Lag(group, place.topic, place.partition, committed, end, max(unread, 0))


async def _committed(bootstrap: str, groups: Sequence[str]) -> dict[str, dict[TopicPartition, int]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="releve-lag")
    await admin.start()
    try:
        answers = await asyncio.gather(*(_offsets(admin, group) for group in groups))
    finally:
        await admin.close()
    return {
        group: {place: held.offset for place, held in answer.items() if held.offset >= 0}
        for group, answer in zip(groups, answers, strict=True)
    }


async def _dated(consumer: AIOKafkaConsumer, bootstrap: str, lags: list[Lag]) -> list[Lag]:
    """Give each lag the time of its oldest unread record, reading one record for each place where a group stands."""
    wanted = {(TopicPartition(lag.topic, lag.partition), lag.end - lag.messages) for lag in lags if lag.messages}
    times: dict[tuple[TopicPartition, int], datetime] = {}
    while wanted:
        # Two groups may stand at two offsets of one partition: one offset of each partition at a time.
        this_time = dict(sorted(wanted, reverse=True))
        times |= await _times(consumer, bootstrap, this_time)
        wanted -= set(this_time.items())
    return [_since(lag, times) for lag in lags]


async def _offsets(admin: AIOKafkaAdminClient, group: str) -> Mapping[TopicPartition, Any]:
    """A group's offsets. A young broker is still choosing who coordinates it: asked again for a while."""
    deadline = asyncio.get_running_loop().time() + COORDINATED_WITHIN_S
    while True:
        try:
            found: Mapping[TopicPartition, Any] = await admin.list_consumer_group_offsets(group)
        except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, GroupLoadInProgressError):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return found


def _since(lag: Lag, times: Mapping[tuple[TopicPartition, int], datetime]) -> Lag:
    since = times.get((TopicPartition(lag.topic, lag.partition), lag.end - lag.messages)) if lag.messages else None
    return Lag(lag.group, lag.topic, lag.partition, lag.committed, lag.end, lag.messages, since)


async def _times(
    consumer: AIOKafkaConsumer, bootstrap: str, places: Mapping[TopicPartition, int]
) -> dict[tuple[TopicPartition, int], datetime]:
    consumer.assign(list(places))
    for place, offset in places.items():
        consumer.seek(place, offset)
    found: dict[tuple[TopicPartition, int], datetime] = {}
    deadline = asyncio.get_running_loop().time() + LOOK_FOR_S
    while len(found) < len(places) and asyncio.get_running_loop().time() < deadline:
        standing = {place: offset for place, offset in places.items() if (place, offset) not in found}
        records = await next_records(consumer, bootstrap, timeout_ms=200, max_records=1, standing=standing)
        for record in records:
            place = TopicPartition(record.topic, record.partition)
            found.setdefault((place, places[place]), datetime.fromtimestamp(record.timestamp / 1000, UTC))
            consumer.pause(place)
    return found
