"""A peer: Debezium's outbox router (Kafka Connect standalone, defaults) relays the same rows beside ours.

Both read one PostgreSQL with logical decoding on, each a database of its own, and write to the same broker. `per_s`
counts from the commit of all rows to the last of them on the topic; the delays are those of single commits in an idle
system, as in `delay.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from benchmarks import gate
from benchmarks.baselines.bare_events import make_topic
from benchmarks.delay import Once, Reader, committing, quarantined, reading, sampled
from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place
from deploy.local import cache, prerequisites
from deploy.local.ports import choose_ports
from deploy.local.postgres import LocalPostgres, Server
from deploy.local.process import Program
from deploy.local.supervise import Supervisor
from shared.config import Settings
from shared.events.topics import DEFAULT_PARTITIONS
from shared.ids import new_id
from shared.messaging.relay import Relay
from shared.tasks import end_tasks
from shared.telemetry import Cause
from tests.databases import Databases

POM = Path(__file__).parent / "peers" / "pom.xml"
ROWS = 20_000
THEIR_TOPIC, OUR_TOPIC = "outbox.event.peer", "funding.dead-letters"
OUTBOX = """
CREATE TABLE outbox (id uuid PRIMARY KEY, aggregatetype text, aggregateid text, type text, payload text)
"""
PUT = "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ($1, 'peer', $2, 'Quarantined', $3)"
CONVERTER = "org.apache.kafka.connect.storage.StringConverter"


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """Both relays, running."""
    async with AsyncExitStack() as stack:
        supervisor = Supervisor(changed=lambda _: None, tell=lambda _: None)
        stack.push_async_callback(supervisor.stop)
        server = await _logical_postgres(place, supervisor)
        await make_topic(place.kafka, THEIR_TOPIC, DEFAULT_PARTITIONS)
        reader = await stack.enter_async_context(reading(place, THEIR_TOPIC, OUR_TOPIC))
        theirs = await stack.enter_async_context(_debezium(place, supervisor, server, reader))
        ours = await stack.enter_async_context(_ours(place, server, reader))
        yield {"debezium": theirs, "releve": ours}


Fill = Callable[[], Awaitable[None]]
"""Commits `ROWS` rows at once."""


def _contender(place: Place, topic: str, fill: Fill, once: Once) -> Contender:
    delays = sampled(once)

    async def run() -> Mapping[str, float]:
        async with gate.looking(place.kafka) as consumer:
            wanted = await gate.ever_on(consumer, topic) + ROWS
            await fill()
            committed = time.perf_counter()
            await gate.until_on(consumer, topic, wanted)
            seconds = time.perf_counter() - committed
        return {"per_s": ROWS / seconds, **await delays()}

    return run


async def _logical_postgres(place: Place, supervisor: Supervisor) -> Server:
    port = choose_ports(["postgres"])["postgres"]
    local = LocalPostgres(place.folder / "peer-postgres", port, "postgres", options={"wal_level": "logical"})
    await supervisor.start(await local.program(place.folder / "peer-postgres.log"), local.server.serves)
    return local.server


@asynccontextmanager
async def _debezium(place: Place, supervisor: Supervisor, server: Server, reader: Reader) -> AsyncIterator[Contender]:
    connection = await asyncpg.connect(server.url("postgres"))
    await connection.execute(OUTBOX)
    program, port = await _connect(place, server)
    await supervisor.start(program, lambda: _listens(port))
    numbers = itertools.count()

    async def fill() -> None:
        rows = [(new_id(), f"key-{number // 8}", _payload()) for number in range(ROWS)]
        async with connection.transaction():
            await connection.executemany(PUT, rows)

    async def once() -> Mapping[str, float]:
        event_id = new_id()
        await connection.execute(PUT, event_id, f"one-{next(numbers)}", _payload())
        committed = time.monotonic()
        return {"": await reader.seen(event_id) - committed}

    await once()  # it has made its slot and its first record
    try:
        yield _contender(place, THEIR_TOPIC, fill, once)
    finally:
        await connection.close()


def _payload() -> str:
    return quarantined("funding").model_dump_json()


async def _connect(place: Place, server: Server) -> tuple[Program, int]:
    """Kafka Connect, standalone, with one connector; beside what it must know everything is its default."""
    folder, port = place.folder / "connect", choose_ports(["connect"])["connect"]
    folder.mkdir()
    worker = {
        "bootstrap.servers": place.kafka, "key.converter": CONVERTER, "value.converter": CONVERTER,
        "offset.storage.file.filename": str(folder / "offsets"), "listeners": f"http://127.0.0.1:{port}",
    }  # fmt: skip
    connector = {
        "name": "peer", "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": server.host, "database.port": str(server.port), "database.user": server.user,
        "database.password": server.password, "database.dbname": "postgres", "topic.prefix": "peer",
        "plugin.name": "pgoutput", "table.include.list": "public.outbox", "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
    }  # fmt: skip
    (folder / "worker.properties").write_text("".join(f"{name}={value}\n" for name, value in worker.items()), "utf-8")
    (folder / "peer.json").write_text(json.dumps({"name": "peer", "config": connector}), "utf-8")
    jars = await cache.bring_jars(POM, "debezium")
    command = [
        prerequisites.java(), "-Xmx512m", "-cp", f"{jars}/*", "org.apache.kafka.connect.cli.ConnectStandalone",
        "worker.properties", "peer.json",
    ]  # fmt: skip
    return Program("connect", command, os.environ, folder, place.folder / "connect.log", ports=(port,)), port


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def _ours(place: Place, server: Server, reader: Reader) -> AsyncIterator[Contender]:
    databases = Databases(server)
    db = await databases("funding")
    relay = asyncio.create_task(Relay(db, Settings(kafka_bootstrap_servers=place.kafka)).run())

    async def fill() -> None:
        cause = Cause.anew("bench")
        async with db.transaction() as tx:
            for number in range(ROWS):
                event = quarantined("funding").model_copy(update={"origin_key": f"key-{number // 8}"})
                tx.outbox.record(event, cause)

    try:
        yield _contender(place, OUR_TOPIC, fill, committing(db, reader, "funding"))
    finally:
        await end_tasks([relay])
        await databases.close()


BENCHMARK = Benchmark(
    name="peers",
    work=f"{ROWS:,} committed rows to Kafka, and single ones in an idle system, beside Debezium's outbox router",
    open=opened,
    aims=(
        Aim("rate over Debezium's", ("releve", "per_s"), ("debezium", "per_s"), at_least=1),
        Aim("idle delay over Debezium's, p50", ("releve", "p50_ms"), ("debezium", "p50_ms"), at_most=0.1),
    ),
    rounds=2,
    known={"debezium": "9,200 to 13,400/s, 452 ms at p50, 953 ms at p95"},
)
