"""The relay: committed rows of an outbox to Kafka, in order per key, each forgotten once it is acknowledged.

Contenders are processes of their own that wait at their outbox; the product's is its `relay` role. The rows are one
statement's, so that they come to be seen all at once: the clock runs from there until the last of them lies on the
topic and none is left in the outbox. Product and limit are told when it starts; the plain way looks every 50 ms.
Looking whether every row arrived once and in order is not counted.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import gate
from benchmarks.contender import NAMES, Part, Side, make_topics, started
from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place
from shared.messaging.wake import CHANNEL

RELAY = Part("relay", "funding", ("relay",))
ROWS, PLAIN_ROWS = 100_000, 1_600
EVENTS_OF_A_KEY = 8
AT_ONCE, FETCH_BYTES = 5_000, 8 * 1024 * 1024
FILL = """
INSERT INTO outbox (topic, key, event_id, type, sequence, time, causation_id, traceparent, payload)
SELECT $1, md5($2 || n % keys)::uuid::text, uuidv7(), 'releve.GrantAwarded.v1', n / keys + 1, now(), uuidv7()::text,
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    convert_to('{"n": ' || n || ', "text": "' || repeat('x', 580) || '"}', 'UTF8')
FROM (SELECT n, $3::int / $4::int AS keys FROM generate_series(0, $3::int - 1) AS n) AS drawn ORDER BY n
"""
_runs = itertools.count(1)


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """The contenders, each with a topic of its own."""
    async with AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for name in NAMES:
            topic = f"bench{os.getpid()}.relay.{name}"
            await make_topics(place, topic)
            side = await stack.enter_async_context(started(place, RELAY, name, {"RELAY_CHANNEL": CHANNEL}))
            contenders[name] = partial(_run, place, side, topic, PLAIN_ROWS if name == "plain" else ROWS)
        yield contenders


async def _run(place: Place, side: Side, topic: str, rows: int) -> Mapping[str, float]:
    """One run: `per_s` rows, and the process's own `cpu_us` of each."""
    settings = {"fetch_max_bytes": FETCH_BYTES, "max_partition_fetch_bytes": FETCH_BYTES, "check_crcs": False}
    async with gate.looking(place.kafka, **settings) as consumer:
        begin = await gate.ends_of(consumer, topic)
        await side.owner.execute("TRUNCATE outbox")
        spent_s = side.cpu_s()
        await side.owner.execute(FILL, topic, f"{next(_runs)} ", rows, EVENTS_OF_A_KEY)
        started_at = time.perf_counter()
        await side.owner.execute(f"NOTIFY {CHANNEL}")
        await gate.until_on(consumer, topic, sum(begin.values()) + rows)
        await gate.until_relayed(side.owner)
        seconds, spent_s = time.perf_counter() - started_at, side.cpu_s() - spent_s
        await _check(consumer, begin, rows)
    return {"per_s": rows / seconds, "cpu_us": spent_s / rows * 1e6}


async def _check(consumer: AIOKafkaConsumer, begin: Mapping[TopicPartition, int], rows: int) -> None:
    """Raise AssertionError unless what was added is each event once, those of each key in order."""
    consumer.assign(list(begin))
    for partition, offset in begin.items():
        consumer.seek(partition, offset)
    left = sum((await consumer.end_offsets(list(begin))).values()) - sum(begin.values())
    last: dict[bytes, int] = defaultdict(int)
    ids: set[bytes] = set()
    async with asyncio.timeout(gate.WITHIN_S):
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
