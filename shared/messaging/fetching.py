"""Owns how records are had from the client, those included that it cannot read; it interprets none of them.

Over one header name that is not UTF-8 the client raises for a whole poll, forgets what else the poll had taken, and
stands at that record for ever. So the places are set back, and that one poll is answered by the broker to this module.
"""

from collections import defaultdict
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import CorruptRecordException
from aiokafka.protocol.fetch import FetchRequest

from shared.messaging.wire import batches_in

log = structlog.get_logger()

Records = list["ConsumerRecord[bytes, bytes]"]

WAIT_MS, PARTITION_BYTES, ANSWER_BYTES = 100, 1024 * 1024, 50 * 1024 * 1024
"""What the client asks for; a batch that is longer comes whole."""


async def next_records(
    consumer: "AIOKafkaConsumer[bytes, bytes]",
    bootstrap: str,
    *,
    timeout_ms: int,
    max_records: int,
    standing: Mapping[TopicPartition, int] | None = None,
) -> Records:
    """What a poll brings, within a partition in order; about `max_records` at most.

    Raises KafkaError; then the consumer's places are no longer those of what it was given, and it must not go on.
    `standing` says where the partitions that are read stood before; by default where their group has committed.
    """
    try:
        found = await consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
    except (UnicodeDecodeError, CorruptRecordException) as refused:
        log.warning("kafka.read_past_the_client", topics=sorted(consumer.subscription()), reason=type(refused).__name__)
        places = await _committed(consumer) if standing is None else standing
        fetched = await fetched_at(bootstrap, places)
        return _taken(consumer, places, fetched, max_records)
    return [record for records in found.values() for record in records]


async def _committed(consumer: "AIOKafkaConsumer[bytes, bytes]") -> dict[TopicPartition, int]:
    partitions = consumer.assignment()
    committed = {each: await consumer.committed(each) for each in partitions}
    begins = await consumer.beginning_offsets(partitions) if None in committed.values() else {}
    return {each: begins[each] if at is None else at for each, at in committed.items()}


def _taken(
    consumer: "AIOKafkaConsumer[bytes, bytes]",
    places: Mapping[TopicPartition, int],
    fetched: Mapping[TopicPartition, bytes],
    max_records: int,
) -> Records:
    """The first records of what was fetched at these places; the consumer goes on after them."""
    most = max(1, max_records // max(1, len(fetched)))
    taken: Records = []
    for place, since in places.items():
        records, following = _first(place, fetched.get(place, b""), since, most)
        if place in consumer.assignment():
            consumer.seek(place, following)
            taken += records
    return taken


def _first(place: TopicPartition, fetched: bytes, since: int, most: int) -> tuple[Records, int]:
    """The first records from an offset on, and the offset after them."""
    records: Records = []
    following = since
    for batch in batches_in(place, fetched):
        for record in batch.records:
            if record.offset >= since:
                records.append(record)
                following = record.offset + 1
                if len(records) == most:
                    return records, following
        following = max(following, batch.next_offset)
    return records, following


async def fetched_at(bootstrap: str, places: Mapping[TopicPartition, int]) -> dict[TopicPartition, bytes]:
    """The bytes that lie at these places, of the partitions that have some. Raises KafkaError."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap, client_id="releve-reading")
    await client.bootstrap()
    try:
        await client.set_topics({place.topic for place in places})
        by_leader: dict[int | None, dict[str, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
        for place, offset in places.items():
            leader = client.cluster.leader_for_partition(place)
            by_leader[leader][place.topic].append((place.partition, offset, PARTITION_BYTES))
        found: dict[TopicPartition, bytes] = {}
        for leader, topics in by_leader.items():
            asked = FetchRequest(WAIT_MS, 1, ANSWER_BYTES, 0, list(topics.items()))
            answer = await client.send(leader, asked)
            for topic, partitions in answer.topics:
                found |= {TopicPartition(topic, partition): some[-1] for partition, *some in partitions if some[-1]}
        return found
    finally:
        await client.close()
