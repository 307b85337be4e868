"""The relay: committed rows of an outbox to Kafka, in order per key, each forgotten once it is acknowledged.

Contenders are processes of their own that wait at their outbox; the product's is its `relay` role. The rows are one
statement's, so that they come to be seen all at once: the clock runs from there until the last of them lies on the
topic and none is left in the outbox. Looking whether every row arrived once and in order is not counted.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place, process
from deploy.local.ports import choose_ports
from shared.events.topics import DEFAULT_PARTITIONS, Topic
from shared.messaging.administer import create_topics
from shared.messaging.wake import CHANNEL
from tests.databases import Addresses

SERVICE = "funding"
ROWS, PLAIN_ROWS = 100_000, 1_600
EVENTS_OF_A_KEY = 8
LOOK_EVERY_S, WITHIN_S = 0.01, 60.0
AT_ONCE, FETCH_BYTES = 5_000, 8 * 1024 * 1024
FILL = """
INSERT INTO outbox (topic, key, event_id, type, sequence, time, causation_id, traceparent, payload)
SELECT $1, md5($2 || n % keys)::uuid::text, uuidv7(), 'releve.GrantAwarded.v1', n / keys + 1, now(), uuidv7()::text,
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    convert_to('{"n": ' || n || ', "text": "' || repeat('x', 580) || '"}', 'UTF8')
FROM (SELECT n, $3::int / $4::int AS keys FROM generate_series(0, $3::int - 1) AS n) AS drawn ORDER BY n
"""
_runs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Side:
    """One contender: its database, the topic that its rows name, and how many of them it is given."""

    name: str
    addresses: Addresses
    topic: str
    rows: int


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """The contenders, each a running process with a database and a topic of its own."""
    async with AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for name, rows in (("limit", ROWS), ("plain", PLAIN_ROWS), ("releve", ROWS)):
            topic = f"bench{os.getpid()}.relay.{name}"
            await create_topics(place.kafka, topics=[Topic(topic, (), "", (), ())])
            side = Side(name, await place.databases.addresses(SERVICE), topic, rows)
            pid = await stack.enter_async_context(_started(place, side))
            owner = await asyncpg.connect(side.addresses.owner)
            stack.push_async_callback(owner.close)
            contenders[name] = partial(_run, place, side, owner, psutil.Process(pid))
        yield contenders


def _started(place: Place, side: Side) -> AbstractAsyncContextManager[int]:
    """The contender's process."""
    url, log = side.addresses.runtime, f"relay-{side.name}"
    if side.name != "releve":
        environment = {"RELAY_SERVICE": SERVICE, "RELAY_DATABASE_URL": url, "RELAY_KAFKA": place.kafka}
        return process(place, log, "-m", f"benchmarks.baselines.relay_{side.name}", environment=environment)
    own = f"RELEVE_{SERVICE.upper()}"
    environment = {
        f"{own}_DATABASE_URL": url, f"{own}_PORT": str(choose_ports([SERVICE])[SERVICE]),
        "RELEVE_KAFKA_BOOTSTRAP_SERVERS": place.kafka,
    }  # fmt: skip
    return process(place, log, "-m", f"services.{SERVICE}", "--role", "relay", environment=environment)


async def _run(
    place: Place, side: Side, owner: asyncpg.Connection, running: psutil.Process
) -> Mapping[str, float]:
    """One run: `per_s` rows, and the process's own `cpu_us` of each."""
    async with _consumer(place, side.topic) as (consumer, partitions):
        begin = await consumer.end_offsets(partitions)
        await owner.execute("TRUNCATE outbox")
        spent_s = _cpu_s(running)
        await owner.execute(FILL, side.topic, f"{next(_runs)} ", side.rows, EVENTS_OF_A_KEY)
        started = time.perf_counter()
        await owner.execute(f"NOTIFY {CHANNEL}")
        await _until_all_have_left(consumer, partitions, sum(begin.values()) + side.rows, owner)
        seconds, spent_s = time.perf_counter() - started, _cpu_s(running) - spent_s
        await _check(consumer, begin, side.rows)
    return {"per_s": side.rows / seconds, "cpu_us": spent_s / side.rows * 1e6}


@asynccontextmanager
async def _consumer(place: Place, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """A reader of a whole topic that reads nothing before it is told where to begin."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=place.kafka, fetch_max_bytes=FETCH_BYTES, max_partition_fetch_bytes=FETCH_BYTES,
        check_crcs=False,
    )  # fmt: skip
    await consumer.start()
    try:
        yield consumer, [TopicPartition(topic, number) for number in range(DEFAULT_PARTITIONS)]
    finally:
        await consumer.stop()


async def _until_all_have_left(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], wanted: int, owner: asyncpg.Connection
) -> None:
    """Wait until so many records were ever on the topic, and no row is left. Raises TimeoutError."""
    async with asyncio.timeout(WITHIN_S):
        while sum((await consumer.end_offsets(partitions)).values()) < wanted:
            await asyncio.sleep(LOOK_EVERY_S)
        while await owner.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
            await asyncio.sleep(LOOK_EVERY_S)


async def _check(consumer: AIOKafkaConsumer, begin: Mapping[TopicPartition, int], rows: int) -> None:
    """Raise AssertionError unless what was added is each event once, those of each key in order."""
    consumer.assign(list(begin))
    for partition, offset in begin.items():
        consumer.seek(partition, offset)
    left = sum((await consumer.end_offsets(list(begin))).values()) - sum(begin.values())
    last: dict[bytes, int] = defaultdict(int)
    ids: set[bytes] = set()
    async with asyncio.timeout(WITHIN_S):
        while left > 0:
            for records in (await consumer.getmany(timeout_ms=500, max_records=AT_ONCE)).values():
                left -= len(records)
                for record in records:
                    headers = dict(record.headers)
                    assert headers["ce_sequence"] == b"%d" % (last[record.key] + 1), (record.partition, record.offset)
                    last[record.key] += 1
                    ids.add(headers["ce_id"])
    assert len(ids) == rows, f"{len(ids)} events of {rows}"
    assert len(last) == rows // EVENTS_OF_A_KEY
    assert set(last.values()) == {EVENTS_OF_A_KEY}


def _cpu_s(running: psutil.Process) -> float:
    times = running.cpu_times()
    return float(times.user + times.system)


BENCHMARK = Benchmark(
    name="relay",
    work=f"{ROWS:,} committed outbox rows of 600 bytes to Kafka, {EVENTS_OF_A_KEY} of each key, in order",
    open=opened,
    aims=(
        Aim("of the limit", ("releve", "per_s"), ("limit", "per_s"), at_least=0.60),
        Aim("times the plain way", ("releve", "per_s"), ("plain", "per_s"), at_least=8),
    ),
    rounds=3,
    known={"limit": "16,250 to 21,700/s by a record at a time", "plain": "620 to 830/s"},
)
