"""Delivery on a real broker: nothing is lost and nothing has two effects through restarts and poison."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from shared.db import Database
from shared.ids import new_id
from shared.messaging.broker import Subscriber
from shared.tasks import end_tasks
from tests.messaging_bench import Recorder, Tape, settings, withdrawn


@asynccontextmanager
async def consuming(recorder: Recorder, bootstrap: str, group: str) -> AsyncIterator[None]:
    consumer = recorder.consumer()
    consumer.name = group
    chosen = settings(kafka_bootstrap_servers=bootstrap, batch_records=40)
    task = asyncio.create_task(Subscriber([consumer], chosen, "funding").run())
    try:
        yield
    finally:
        await end_tasks([task])


async def publish(bootstrap: str, tape: Tape, keys: list[str], count: int, poison: bool = False) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        for number in range(count):
            record = tape.record(withdrawn(keys[number % len(keys)], str(number)))
            value = b"\xff\xff" if poison and number == count // 2 else record.value
            await producer.send(tape.topic, value, key=record.key, headers=list(record.headers))
        await producer.flush()
    finally:
        await producer.stop()


async def until(recorder: Recorder, effects: set[str]) -> list[str]:
    async with asyncio.timeout(40):
        while not effects <= set(found := await recorder.effects()):
            await asyncio.sleep(0.05)
    return found


async def test_restarts_in_mid_stream_lose_nothing_and_repeat_nothing(messaging_database: Database, kafka: str) -> None:
    keys, tape, group = [new_id() for _ in range(10)], Tape(), f"test.{new_id()}"
    recorder = Recorder(messaging_database, only_keys=frozenset(keys))
    await publish(kafka, tape, keys, 600)
    expected = {str(number) for number in range(600)}
    for stop_after in (50, 250, 450):
        async with consuming(recorder, kafka, group):
            await until(recorder, {str(number) for number in range(0, stop_after, 10)})
    async with consuming(recorder, kafka, group), consuming(recorder, kafka, group):
        await until(recorder, expected)
    assert sorted(await recorder.effects(), key=int) == sorted(expected, key=int)
    for key in keys:
        notes = [int(note) for note in await recorder.effects(key)]
        assert notes == sorted(notes)


async def test_poison_on_a_topic_stops_one_key(messaging_database: Database, kafka: str) -> None:
    keys, tape, group = [new_id() for _ in range(4)], Tape(), f"test.{new_id()}"
    recorder = Recorder(messaging_database, only_keys=frozenset(keys))
    await publish(kafka, tape, keys, 40, poison=True)
    stopped = {str(number) for number in range(20, 40, 4)}
    async with consuming(recorder, kafka, group):
        found = await until(recorder, {str(number) for number in range(40)} - stopped)
    assert stopped.isdisjoint(found)
    mine = f"key = '{keys[0]}'"
    assert await recorder.count(f"dead_letter WHERE value = '\\xffff' AND {mine}") == 1
    assert await recorder.count(f"parked_record WHERE {mine}") == len(stopped) - 1


async def test_of_several_brokers_that_are_named_one_that_answers_is_enough(
    messaging_database: Database, kafka: str
) -> None:
    keys, tape, group = [new_id()], Tape(), f"test.{new_id()}"
    recorder = Recorder(messaging_database, only_keys=frozenset(keys))
    await publish(kafka, tape, keys, 1)
    async with consuming(recorder, f"127.0.0.1:1, {kafka}", group):
        await until(recorder, {"0"})
