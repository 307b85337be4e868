"""Partitions move while a member is inside a batch: both have the same events in hand, and each has its effect once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared.db import Database
from shared.history.reading import partitions_of
from shared.ids import new_id
from tests.chaos.member import Inside, Told, member_of, member_process
from tests.messaging_bench import TOPIC, Recorder, Tape, withdrawn
from tests.waiting import until

KEYS, EACH = 24, 5
BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ILIKE '%INSERT INTO inbox%'
"""
END_THE_IDLE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle in transaction'
"""


class Stream:
    """Events of keys of this test on a topic that others use too, and a group that begins where they begin."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.group = f"test.{new_id()}"
        self.keys = [new_id() for _ in range(KEYS)]
        self.written = 0
        self._tape = Tape()

    async def begin_here(self) -> None:
        """Let the group begin at the end of the topic as it is now: its first batch is this test's own."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.group, enable_auto_commit=False)
        await consumer.start()
        try:
            partitions: list[TopicPartition] = await partitions_of(self.bootstrap, [TOPIC])
            consumer.assign(partitions)
            await consumer.commit(await consumer.end_offsets(partitions))
        finally:
            await consumer.stop()

    async def publish(self) -> None:
        """Some more events of every key."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=True)
        await producer.start()
        try:
            for number in range(self.written, self.written + KEYS * EACH):
                record = self._tape.record(withdrawn(self.keys[number % KEYS], str(number)))
                await producer.send(TOPIC, record.value, key=record.key, headers=list(record.headers))
            self.written += KEYS * EACH
        finally:
            await producer.stop()

    async def all_had_their_effect_once(self, recorder: Recorder) -> None:
        """Each event once, and those of a key in their order. Raises TimeoutError."""

        async def there() -> bool:
            return await recorder.count("effect") >= self.written

        await until(there)
        for at, key in enumerate(self.keys):
            assert await recorder.effects(key) == [str(number) for number in range(at, self.written, KEYS)]


@pytest.fixture
async def stream(kafka: str) -> Stream:
    stream = Stream(kafka)
    await stream.begin_here()
    await stream.publish()
    return stream


@pytest.fixture
def second(messaging_database: Database, stream: Stream) -> Recorder:
    return Recorder(messaging_database, only_keys=frozenset(stream.keys), echoes=False)


async def waits_for_the_others_claim(recorder: Recorder) -> bool:
    """Whether a member has events in hand that another one has claimed and not yet committed."""
    async with recorder.db.transaction() as tx:
        return bool(await tx.fetch_value(BLOCKED))


async def test_a_member_that_joins_in_the_middle_of_a_batch_repeats_nothing(stream: Stream, second: Recorder) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()
    first = Inside(second.db, only_keys=second.only_keys, echoes=False, entered=entered.set, may_go_on=go_on.is_set)
    async with member_of(stream.group, first, stream.bootstrap):
        await entered.wait()
        async with member_of(stream.group, second, stream.bootstrap):
            await until(lambda: waits_for_the_others_claim(second))
            go_on.set()
            await stream.publish()
            await stream.all_had_their_effect_once(second)
            assert second.calls


@pytest.mark.parametrize("meanwhile", ["its transaction waits", "its transaction was ended"])
async def test_a_member_that_wakes_up_after_its_partitions_moved_repeats_nothing(
    stream: Stream, second: Recorder, tmp_path: Path, meanwhile: str
) -> None:
    told = Told(second.db.dsn, stream.bootstrap, stream.group, stream.keys, str(tmp_path))
    async with member_process(told) as first:
        await until(told.entered.exists)
        first.send_signal(signal.SIGSTOP)
        async with member_of(stream.group, second, stream.bootstrap):
            await until(lambda: waits_for_the_others_claim(second))
            if meanwhile == "its transaction was ended":
                async with second.db.transaction() as tx:
                    assert await tx.fetch_value(END_THE_IDLE) == 1
                await stream.all_had_their_effect_once(second)
            told.go_on.touch()
            first.send_signal(signal.SIGCONT)
            await stream.publish()
            await until(told.ended.exists)
            await stream.all_had_their_effect_once(second)
