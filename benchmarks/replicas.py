"""Replicas: two processes of a consumer share a topic's partitions; then they come and go while events stream in.

Intake's consumer of scores, since it keeps a row of each event: several of each application, whose rows are numbered
as they are written. `one` and `two` are held until all events lie on the topic (`benchmarks/gate.py`). In `changing`
a third process joins under a steady stream, the first is asked to end and the second is killed: what was the dead one's
waits until its session has run out. Nothing may be lost, be there twice, or overtake another of its key: an error.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer

from benchmarks import gate
from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place, process, until_it_answers
from deploy.local.ports import choose_ports
from shared.ids import new_id
from tests.databases import Addresses
from tests.hops import Record, call_of_run, revisions

TOPIC, CONSUMER = "review.scores", "intake.review.scores"
HEARD = ("review.scores", "funding.grants", "notify.deliveries")
KEYS, EACH = 2_400, 5
"""Applications, and events of each, of a run without changes."""
STREAM_KEYS, STREAM_EACH, WAVE_S = 800, 25, 0.8
"""The same while replicas come and go: one event of each application in so many seconds."""
JOINS_S, ENDS_S, KILLED_S = 1.0, 7.0, 11.0
"""When the third joins, the first is asked to end and the second is killed, in seconds since the stream began."""

# Numbers follow the order of writing, and the time is the moment of it: both are of the rows, not of their transaction.
OBSERVE = """
ALTER TABLE fact ADD COLUMN written bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN written_at timestamptz NOT NULL DEFAULT clock_timestamp()
"""
WRITTEN = """
SELECT application_id::text, sequence, extract(epoch FROM written_at)::float8 FROM fact
WHERE application_id = ANY($1::uuid[]) ORDER BY written
"""
CLAIMED = "SELECT count(*) FROM inbox WHERE consumer = $1 AND event_id = ANY($2::uuid[])"
ASIDE = "SELECT (SELECT count(*) FROM dead_letter) + (SELECT count(*) FROM parked_record)"
HANDLED = re.compile(rf'^releve_events_handled_total{{consumer="{re.escape(CONSUMER)}"}} (\S+)$', re.MULTILINE)
_runs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Replica:
    """One process of the consumer."""

    pid: int
    url: str

    async def handled(self) -> int:
        """How many events had their effect by it."""
        async with httpx.AsyncClient() as client:
            found = HANDLED.search((await client.get(f"{self.url}/metrics")).text)
        return 0 if found is None else int(float(found[1]))


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a run takes place."""

    place: Place
    addresses: Addresses
    owner: asyncpg.Connection


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """One database, whose facts tell when they were written."""
    addresses = await place.databases.addresses("intake")
    owner = await asyncpg.connect(addresses.owner)
    try:
        await owner.execute(OBSERVE)
        for topic in HEARD:
            await gate.begin_at_the_end(place.kafka, f"intake.{topic}", topic)
        bench = Bench(place, addresses, owner)
        yield {
            "one": partial(_at_once, bench, 1), "two": partial(_at_once, bench, 2),
            "changing": partial(_changing, bench),
        }  # fmt: skip
    finally:
        await owner.close()


@asynccontextmanager
async def _replica(bench: Bench, name: str) -> AsyncIterator[Replica]:
    port = choose_ports([name])[name]
    url = f"http://127.0.0.1:{port}"
    environment = {
        "RELEVE_INTAKE_DATABASE_URL": bench.addresses.runtime, "RELEVE_INTAKE_PORT": str(port),
        "RELEVE_KAFKA_BOOTSTRAP_SERVERS": bench.place.kafka,
    }  # fmt: skip
    command = ("-m", "services.intake", "--role", "consume")
    async with process(bench.place, name, *command, environment=environment) as pid:
        await until_it_answers(f"{url}/readyz", bench.place.folder / f"{name}.log")
        yield Replica(pid, url)


async def _at_once(bench: Bench, count: int) -> Mapping[str, float]:
    """`per_s` of so many replicas, and how much more the busiest did than the idlest."""
    applications = [new_id() for _ in range(KEYS)]
    records = revisions(call_of_run(f"r{next(_runs)}"), applications, EACH)
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(_replica(bench, f"replica-{each}")) for each in range(count)]
        async with gate.closed_gate(bench.owner):
            work = await gate.produce(bench.place.kafka, records, {TOPIC: TOPIC})
            await gate.until_held(bench.owner, count)
            started = time.perf_counter()
        await gate.until_done(bench.owner, [CONSUMER], work)
        seconds = time.perf_counter() - started
        shares = [await each.handled() for each in replicas]
    await _checked(bench, records, applications, EACH)
    return {"per_s": len(records) / seconds, "most": max(shares), "fewest": min(shares)}


async def _changing(bench: Bench) -> Mapping[str, float]:
    """How long events waited for their effect while a replica joined, one ended and one was killed."""
    applications = [new_id() for _ in range(STREAM_KEYS)]
    records = revisions(call_of_run(f"r{next(_runs)}"), applications, STREAM_EACH)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        first, second = await enter(_replica(bench, "replica-first")), await enter(_replica(bench, "replica-second"))
        producer, began = await enter(gate.producing(bench.place.kafka, TOPIC)), time.time()
        async with asyncio.TaskGroup() as tasks:
            streaming = tasks.create_task(_stream(producer, records, began))
            await asyncio.sleep(JOINS_S)
            third = await enter(_replica(bench, "replica-third"))
            await asyncio.sleep(began + ENDS_S - time.time())
            shares = [await first.handled()]
            os.kill(first.pid, signal.SIGTERM)
            await asyncio.sleep(began + KILLED_S - time.time())
            shares.append(await second.handled())
            os.kill(second.pid, signal.SIGKILL)
        sent, work = streaming.result()
        await gate.until_done(bench.owner, [CONSUMER], work)
        shares.append(await third.handled())
    if not all(shares):
        raise RuntimeError(f"one of the replicas did nothing: {shares}")
    written = await _checked(bench, records, applications, STREAM_EACH)
    waits = sorted(at - sent[sequence - 1] for _, sequence, at in written)
    return {
        "wait_p50_ms": waits[len(waits) // 2] * 1000, "wait_p99_s": waits[len(waits) * 99 // 100],
        "wait_longest_s": waits[-1], "by_first": shares[0], "by_second": shares[1], "by_third": shares[2],
    }  # fmt: skip


async def _stream(producer: AIOKafkaProducer, records: Sequence[Record], began: float) -> tuple[list[float], gate.Work]:
    """Produce one event of each application after the other, in time; when each wave was sent, and all there is."""
    sent: list[float] = []
    last: list[str] = []
    for number in range(STREAM_EACH):
        await asyncio.sleep(began + number * WAVE_S - time.time())
        sent.append(time.time())
        wave = records[number * STREAM_KEYS : (number + 1) * STREAM_KEYS]
        last += (await gate.put(producer, wave, {TOPIC: TOPIC})).last
    return sent, gate.Work(len(records), last)


async def _checked(
    bench: Bench, records: Sequence[Record], applications: Sequence[str], each: int
) -> list[tuple[str, int, float]]:
    """The rows of a run's events, in the order of writing. Raises RuntimeError if a promise was broken."""
    rows = [tuple(row) for row in await bench.owner.fetch(WRITTEN, list(applications))]
    broken = list(violations([(key, sequence) for key, sequence, _ in rows], applications, each))
    claimed = await bench.owner.fetchval(CLAIMED, CONSUMER, [record.event_id for record in records])
    if claimed != len(records):
        broken.append(f"{len(records) - claimed} events are not in the inbox")
    if await bench.owner.fetchval(ASIDE):
        broken.append("events were set aside")
    if broken:
        raise RuntimeError(f"{len(broken)} promises were broken: " + "; ".join(broken[:5]))
    return rows


def violations(written: Sequence[tuple[str, int]], applications: Sequence[str], each: int) -> Iterator[str]:
    """What is lost, there twice, or before one of its key that was told earlier; `written` in the order of writing."""
    counts, latest = Counter(written), dict.fromkeys(applications, 0)
    for key, sequence in itertools.product(applications, range(1, each + 1)):
        if counts[key, sequence] != 1:
            yield f"event {sequence} of {key} had its effect {counts[key, sequence]} times"
    for key, sequence in written:
        if sequence < latest[key]:
            yield f"event {sequence} of {key} had its effect after event {latest[key]}"
        latest[key] = max(sequence, latest[key])


BENCHMARK = Benchmark(
    name="replicas",
    work=f"{KEYS * EACH:,} events of {KEYS:,} keys by one process, by two; then one joins, one ends, one is killed",
    open=opened,
    aims=(
        Aim("times one by two", ("two", "per_s"), ("one", "per_s")),
        Aim("the busier of two over the other", ("two", "most"), ("two", "fewest"), at_most=1.3),
    ),
    rounds=2,
)
