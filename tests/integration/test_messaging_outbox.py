"""What leaves: numbered without a gap per key, in the order of commits, once, with the headers of CloudEvents."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from shared.db import Database
from shared.ids import new_id
from shared.messaging.broker import as_raw
from shared.messaging.records import Delivery, read_record
from shared.messaging.relay import Relay
from shared.tasks import end_tasks
from shared.telemetry import Cause
from tests.messaging_bench import settings, withdrawn

CAUSE = Cause.anew("test")


async def rows(db: Database) -> list[tuple[str, int]]:
    async with db.transaction() as tx:
        found = await tx.fetch_all("SELECT key, sequence FROM outbox ORDER BY id")
    return [(row["key"], row["sequence"]) for row in found]


async def test_several_events_of_one_key_are_numbered_in_order(messaging_database: Database) -> None:
    a, b = new_id(), new_id()
    for _ in range(2):
        async with messaging_database.transaction() as tx:
            for key in (a, b, a):
                tx.outbox.record(withdrawn(key), CAUSE)
    assert await rows(messaging_database) == [(a, 1), (b, 1), (a, 2), (a, 3), (b, 2), (a, 4)]


async def test_a_rollback_leaves_no_gap(messaging_database: Database) -> None:
    a = new_id()
    with pytest.raises(RuntimeError):
        async with messaging_database.transaction() as tx:
            tx.outbox.record(withdrawn(a), CAUSE)
            await tx.outbox.write()
            raise RuntimeError
    async with messaging_database.transaction() as tx:
        tx.outbox.record(withdrawn(a, "kept"), CAUSE)
        with pytest.raises(ValueError, match="part"):
            async with tx.savepoint():
                tx.outbox.record(withdrawn(a, "dropped"), CAUSE)
                raise ValueError("part")
        tx.outbox.record(withdrawn(a, "kept too"), CAUSE)
    assert await rows(messaging_database) == [(a, 1), (a, 2)]


async def test_concurrent_writers_of_one_key_follow_their_commits(messaging_database: Database) -> None:
    keys = [new_id() for _ in range(3)]

    async def write(number: int) -> None:
        async with messaging_database.transaction() as tx:
            for key in keys if number % 2 else reversed(keys):
                tx.outbox.record(withdrawn(key), CAUSE)

    await asyncio.gather(*(write(number) for number in range(30)))
    by_key = defaultdict(list)
    for key, sequence in await rows(messaging_database):
        by_key[key].append(sequence)
    assert all(by_key[key] == list(range(1, 31)) for key in keys)


async def test_a_payload_that_could_not_be_sent_is_refused_with_its_change(messaging_database: Database) -> None:
    with pytest.raises(Exception, match="outbox_payload_check"):
        async with messaging_database.transaction() as tx:
            tx.outbox.record(withdrawn(new_id(), "x" * 600_000), CAUSE)
    assert await rows(messaging_database) == []


@asynccontextmanager
async def relaying(db: Database, bootstrap: str) -> AsyncIterator[None]:
    task = asyncio.create_task(Relay(db, settings(kafka_bootstrap_servers=bootstrap, relay_rows=50)).run())
    try:
        yield
    finally:
        await end_tasks([task])


async def emptied(db: Database) -> None:
    async with asyncio.timeout(60):
        while await rows(db):
            await asyncio.sleep(0.02)


async def sent(bootstrap: str, keys: set[str]) -> list["ConsumerRecord[bytes, bytes]"]:
    consumer = AIOKafkaConsumer("intake.applications", bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found = []
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += [record for record in batch if record.key.decode() in keys]
        return found
    finally:
        await consumer.stop()


async def test_the_relay_sends_everything_in_order_and_keeps_nothing(messaging_database: Database, kafka: str) -> None:
    keys = [new_id() for _ in range(7)]
    for start in range(0, 350, 70):
        async with messaging_database.transaction() as tx:
            for number in range(start, start + 70):
                tx.outbox.record(withdrawn(keys[number % 7], str(number)), CAUSE)
    async with relaying(messaging_database, kafka), relaying(messaging_database, kafka):
        await emptied(messaging_database)
    by_key: dict[str, list[int]] = defaultdict(list)
    for record in await sent(kafka, set(keys)):
        delivery = read_record(as_raw(record))
        assert isinstance(delivery, Delivery)
        by_key[delivery.key].append(delivery.sequence)
    assert by_key == {key: list(range(1, 51)) for key in keys}


async def test_the_relay_waits_for_a_broker_that_is_away(messaging_database: Database, kafka: str) -> None:
    key = new_id()
    relay = Relay(messaging_database, settings(kafka_bootstrap_servers="127.0.0.1:1"))
    task = asyncio.create_task(relay.run())
    async with messaging_database.transaction() as tx:
        tx.outbox.record(withdrawn(key), CAUSE)
    async with asyncio.timeout(60):
        while relay.progress.problem is None:
            await asyncio.sleep(0.02)
    assert await rows(messaging_database) == [(key, 1)]
    await end_tasks([task])
    async with relaying(messaging_database, kafka):
        await emptied(messaging_database)
    assert len(await sent(kafka, {key})) == 1
