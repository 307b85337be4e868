"""A poll that the client gives up over one record brings every record all the same, each once."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.ids import new_id
from shared.messaging.fetching import next_records
from tests.foreign import Foreign, foreign_publisher

PARTITIONS = 12


@pytest.fixture
async def topic(kafka: str) -> AsyncIterator[str]:
    """A topic of the test's own, on which nothing else is broken."""
    name = f"test.{new_id()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    yield name
    await admin.delete_topics([name])
    await admin.close()


@pytest.mark.parametrize("reader", range(3))
async def test_what_a_poll_had_taken_before_it_was_given_up_is_not_lost(kafka: str, topic: str, reader: int) -> None:
    """Which partition comes first in a poll is left to chance: so several times."""
    async with foreign_publisher(kafka, topic) as publisher:
        for partition in range(PARTITIONS):
            for number in range(3):
                await put(publisher, topic, partition, number, broken=partition == 5 and number == 1)
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=kafka, group_id=f"test.{new_id()}", auto_offset_reset="earliest",
            enable_auto_commit=False, fetch_max_wait_ms=100,
        )  # fmt: skip
        await consumer.start()
        try:
            found = await read(consumer, kafka, 3 * PARTITIONS)
            for partition in range(PARTITIONS):
                await put(publisher, topic, partition, 3, broken=partition == 2)
            found += await read(consumer, kafka, PARTITIONS)
        finally:
            await consumer.stop()
    assert sorted(found) == [(partition, offset) for partition in range(PARTITIONS) for offset in range(4)]


async def put(publisher: Foreign, topic: str, partition: int, number: int, *, broken: bool) -> None:
    name = b"\xff" if broken else b"name"
    await publisher.publish(topic, b"k", str(number).encode(), [(name, b"1")], partition=partition)


async def read(consumer: AIOKafkaConsumer, bootstrap: str, wanted: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while len(found) < wanted:
        records = await next_records(consumer, bootstrap, timeout_ms=200, max_records=7)
        found += [(record.partition, record.offset) for record in records]
        if records:
            await consumer.commit()
    return found
