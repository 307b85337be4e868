"""Delay in an idle system: from a commit to its record on the topic, from a 201 to the receipt in the mail server.

`limit` is a bare acknowledged produce, the next one begun when the system is idle again. `releve` is the default
layout, relay and writer in one process; in `apart` the relay is a process of its own. Their time ends when a reader has
the record, which is later than the acknowledgement: `limit` tells that beside as `seen`. `letter` is the real intake
and notify.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.baselines import delay_plain
from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place, process, web_process
from benchmarks.sink import Sink, sunk
from shared.clock import business_now
from shared.config import Settings
from shared.db import Database
from shared.events.ops import EventQuarantined
from shared.ids import new_id
from shared.messaging.relay import Relay
from shared.messaging.wake import tell_relay
from shared.tasks import end_tasks
from shared.telemetry import Cause
from tests.dossiers import dossier
from tests.open_call import CALL_ID, open_call, publish

SAMPLES = 16
PAUSE_S = (0.06, 0.14)
"""Between two samples everything has come to rest; its length varies, so that nothing keeps step with a poll."""
SEEN_WITHIN_S = 20.0
IDLE = ("ops", "notify", "review", "funding")
"""Services whose dead letters serve as topics that nobody else writes to or reads."""

Once = Callable[[], Awaitable[Mapping[str, float]]]
"""One event: its delays in seconds, by name."""


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """Each contender with a topic that no other uses, and a database of its own."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        reader = await enter(reading(place, *(f"{name}.dead-letters" for name in IDLE)))
        sink = await enter(sunk(place, "sink"))
        waits: dict[str, Once] = {
            "limit": await enter(produced(place, reader, "ops.dead-letters")),
            "plain": await enter(plainly(place, reader, "notify.dead-letters")),
            "releve": await enter(relayed(place, reader, "review")),
            "apart": await enter(relayed_apart(place, reader, "funding")),
            "letter": await enter(lettered(place, sink)),
        }
        yield {name: sampled(once) for name, once in waits.items()}


def sampled(once: Once) -> Contender:
    """A contender of delays: their median and 95th percentile in ms, the sample at rest before each."""

    async def run() -> Mapping[str, float]:
        delays: dict[str, list[float]] = defaultdict(list)
        for _ in range(SAMPLES):
            await asyncio.sleep(random.uniform(*PAUSE_S))
            for name, delay_s in (await once()).items():
                delays[name].append(delay_s * 1000)
        figures = {}
        for name, found in delays.items():
            figures[f"{name}p50_ms"] = statistics.median(found)
            figures[f"{name}p95_ms"] = statistics.quantiles(found, n=20, method="inclusive")[-1]
        return figures

    return run


class Reader:
    """What reads topics beside everything: when it had which event."""

    def __init__(self) -> None:
        self._seen: dict[str, asyncio.Future[float]] = defaultdict(asyncio.get_running_loop().create_future)

    async def read(self, consumer: AIOKafkaConsumer) -> None:
        """Until cancelled."""
        async for record in consumer:
            headers = dict(record.headers)
            event_id = (headers.get("ce_id") or headers["id"]).decode()
            if not self._seen[event_id].done():  # a relay may send one again
                self._seen[event_id].set_result(time.monotonic())

    async def seen(self, event_id: str) -> float:
        """When an event was had, monotonic seconds. Raises TimeoutError."""
        async with asyncio.timeout(SEEN_WITHIN_S):
            return await self._seen[event_id]


@asynccontextmanager
async def reading(place: Place, *topics: str) -> AsyncIterator[Reader]:
    """A reader of these topics from now on."""
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=place.kafka, auto_offset_reset="latest")
    await consumer.start()
    await consumer.seek_to_end()
    reader = Reader()
    task = asyncio.create_task(reader.read(consumer))
    try:
        yield reader
    finally:
        await end_tasks([task])
        await consumer.stop()


@asynccontextmanager
async def produced(place: Place, reader: Reader, topic: str) -> AsyncIterator[Once]:
    """The limit: one record, acknowledged by the broker."""
    producer = AIOKafkaProducer(bootstrap_servers=place.kafka, acks="all", enable_idempotence=True)
    await producer.start()

    async def once() -> Mapping[str, float]:
        event_id = new_id()
        sent = time.monotonic()
        await producer.send_and_wait(topic, _payload("ops"), key=b"key", headers=[("ce_id", event_id.encode())])
        acknowledged = time.monotonic()
        return {"": acknowledged - sent, "seen_": await reader.seen(event_id) - sent}

    try:
        yield once
    finally:
        await producer.stop()


@asynccontextmanager
async def plainly(place: Place, reader: Reader, topic: str) -> AsyncIterator[Once]:
    """The plain relay as a process; the writer is here."""
    addresses = await place.databases.addresses("notify")
    connection = await asyncpg.connect(addresses.owner)
    await connection.execute(delay_plain.SCHEMA)
    environment = {"PLAIN_DATABASE_URL": addresses.owner, "PLAIN_KAFKA": place.kafka, "PLAIN_TOPIC": topic}

    async def once() -> Mapping[str, float]:
        event_id = new_id()
        row = "INSERT INTO plain_outbox (event_id, key, payload) VALUES ($1, 'key', $2)"
        await connection.execute(row, event_id, _payload("notify"))
        committed = time.monotonic()
        return {"": await reader.seen(event_id) - committed}

    async with process(place, "plain-relay", "-m", "benchmarks.baselines.delay_plain", environment=environment):
        try:
            yield once
        finally:
            await connection.close()


@asynccontextmanager
async def relayed(place: Place, reader: Reader, service: str) -> AsyncIterator[Once]:
    """Ours in one process: here."""
    db = await place.databases(service)
    relay = asyncio.create_task(Relay(db, Settings(kafka_bootstrap_servers=place.kafka)).run())
    try:
        yield committing(db, reader, service)
    finally:
        await end_tasks([relay])


@asynccontextmanager
async def relayed_apart(place: Place, reader: Reader, service: str) -> AsyncIterator[Once]:
    """Ours with the relay as a process of its own; the writer is here."""
    addresses = await place.databases.addresses(service)
    db = Database(addresses.runtime, service)
    telling = asyncio.create_task(tell_relay(db))
    name = service.upper()
    environment = {
        "RELEVE_KAFKA_BOOTSTRAP_SERVERS": place.kafka, f"RELEVE_{name}_DATABASE_URL": addresses.runtime,
    }  # fmt: skip
    async with web_process(
        place, f"{service}-relay", "-m", f"services.{service}", "--role", "relay", environment=environment,
        port_variable=f"RELEVE_{name}_PORT", ready="/readyz",
    ):  # fmt: skip
        try:
            yield committing(db, reader, service)
        finally:
            await end_tasks([telling])
            await db.close()


def committing(db: Database, reader: Reader, service: str) -> Once:
    """Commit one event and see when the reader has it."""

    async def once() -> Mapping[str, float]:
        async with db.transaction() as tx:
            event_id = tx.outbox.record(quarantined(service), Cause.anew("bench"))
        committed = time.monotonic()
        return {"": await reader.seen(event_id) - committed}

    return once


def quarantined(service: str) -> EventQuarantined:
    """An event that nobody here takes, of the size that events have."""
    return EventQuarantined(
        service=service, consumer=f"{service}.intake.applications", origin_topic="intake.applications",
        origin_partition=1, origin_offset=1, origin_key="key", reason="x" * 500, attempts=3, occurred_at=business_now(),
    )  # fmt: skip


def _payload(service: str) -> bytes:
    return quarantined(service).model_dump_json().encode()


@asynccontextmanager
async def lettered(place: Place, sink: Sink) -> AsyncIterator[Once]:
    """The real intake and notify, all roles, and a mail server beside them."""
    own, theirs = [await place.databases.addresses(service) for service in ("intake", "notify")]
    db = Database(own.runtime, "intake")
    await publish(db, open_call())
    await db.close()
    common = {"RELEVE_KAFKA_BOOTSTRAP_SERVERS": place.kafka}
    intake = common | {"RELEVE_INTAKE_DATABASE_URL": own.runtime}
    notify = common | {
        "RELEVE_NOTIFY_DATABASE_URL": theirs.runtime, "RELEVE_SMTP_URL": f"smtp://127.0.0.1:{sink.port}",
    }  # fmt: skip
    async with (
        web_process(
            place, "notify", "-m", "services.notify", environment=notify, port_variable="RELEVE_NOTIFY_PORT",
            ready="/readyz",
        ),
        web_process(
            place, "intake", "-m", "services.intake", environment=intake, port_variable="RELEVE_INTAKE_PORT",
            ready="/readyz",
        ) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):  # fmt: skip
        yield _depositing(client, sink)


def _depositing(client: httpx.AsyncClient, sink: Sink) -> Once:
    numbers = itertools.count()

    async def once() -> Mapping[str, float]:
        number = next(numbers)
        body: dict[str, Any] = dossier(number)
        headers = {"Idempotency-Key": f"key-{number}"}
        answer = await client.post(f"/api/v1/calls/{CALL_ID}/applications", json=body, headers=headers)
        answered = time.monotonic()
        if answer.status_code != httpx.codes.CREATED:
            raise RuntimeError(f"not taken: {answer.status_code} {answer.text[:200]}")
        [(taken, recipient)] = await sink.next_letters()
        assert recipient == body["contact"]["email"]
        return {"": taken - answered}

    return once


BENCHMARK = Benchmark(
    name="delay",
    work="idle system: commit → record on the topic; 201 → receipt in the SMTP sink",
    open=opened,
    aims=(
        Aim("commit → topic over the limit, p50", ("releve", "p50_ms"), ("limit", "p50_ms"), at_most=3),
        Aim("the same with the relay apart", ("apart", "p50_ms"), ("limit", "p50_ms"), at_most=3),
        Aim("commit → topic of the plain way, p50", ("releve", "p50_ms"), ("plain", "p50_ms")),
        Aim("201 → receipt over the limit, p50", ("letter", "p50_ms"), ("limit", "p50_ms")),
    ),
    rounds=3,
)
