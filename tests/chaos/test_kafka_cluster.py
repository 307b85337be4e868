"""Three brokers, the leader killed while the relay publishes: nothing lost, in order, nothing twice by `ce_id`."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError

from shared.db import Database
from shared.events.topics import TOPICS
from shared.history.reading import read_history
from shared.ids import new_id
from shared.messaging.administer import create_topics
from shared.messaging.broker import Subscriber
from shared.messaging.relay import Relay
from shared.tasks import end_tasks
from shared.telemetry import Cause
from tests.brokers import NODES, Cluster, cluster_in
from tests.messaging_bench import TOPIC, Recorder, settings, withdrawn
from tests.waiting import until

pytestmark = pytest.mark.long

CAUSE = Cause.anew("test")
KEYS, AT_ONCE, HEARD_BEFORE = 24, 24, 240


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster_in(tmp_path) as cluster:
        used = [topic for topic in TOPICS if topic.emitter == "funding" or topic.name == TOPIC]
        await create_topics(cluster.bootstrap, NODES, used)
        yield cluster


@asynccontextmanager
async def told_and_heard(db: Database, recorder: Recorder, bootstrap: str) -> AsyncIterator[None]:
    """A relay that publishes and a consumer that reads, both of them on the cluster."""
    chosen = settings(kafka_bootstrap_servers=bootstrap, relay_rows=AT_ONCE, send_timeout_s=15)
    running = [
        asyncio.create_task(Relay(db, chosen).run()),
        asyncio.create_task(Subscriber([recorder.consumer()], chosen, "funding").run()),
    ]
    try:
        yield
    finally:
        await end_tasks(running)


async def write(db: Database, keys: list[str], written: list[int], enough: asyncio.Event) -> None:
    """Write events into the outbox, key after key, until it is enough; `written` are their numbers."""
    for start in itertools.count(0, AT_ONCE):
        async with db.transaction() as tx:
            for number in range(start, start + AT_ONCE):
                tx.outbox.record(withdrawn(keys[number % len(keys)], str(number)), CAUSE)
        written += range(start, start + AT_ONCE)
        if enough.is_set():
            return
        await asyncio.sleep(0.05)


async def test_a_leader_killed_while_the_relay_publishes_loses_nothing_and_repeats_nothing(
    messaging_database: Database, cluster: Cluster
) -> None:
    assert await cluster.setting(TOPIC, "min.insync.replicas") == "2"
    keys, written, enough = [new_id() for _ in range(KEYS)], list[int](), asyncio.Event()
    recorder = Recorder(messaging_database, echoes=False)
    async with told_and_heard(messaging_database, recorder, cluster.bootstrap):
        async with asyncio.TaskGroup() as group:
            group.create_task(write(messaging_database, keys, written, enough))
            await until(lambda: heard(recorder, HEARD_BEFORE))
            ((leader, _),) = (await cluster.leaders(TOPIC)).most_common(1)
            await cluster.kill(leader)
            killed_at = len(written)
            await until(lambda: led_by_others(cluster, leader))
            await until(lambda: heard(recorder, killed_at + AT_ONCE))
            enough.set()
        await until(lambda: heard(recorder, len(written)))
        assert await recorder.count("outbox") == 0
    history = await read_history(cluster.bootstrap, [TOPIC])
    told = defaultdict(list)
    for recorded in history.events:  # each ce_id once, at its first place
        told[recorded.key].append((recorded.sequence, int(recorded.event.reason)))
    assert told == {key: list(enumerate(written[at::KEYS], start=1)) for at, key in enumerate(keys)}
    assert {key: [int(note) for note in await recorder.effects(key)] for key in keys} == {
        key: written[at::KEYS] for at, key in enumerate(keys)
    }


async def heard(recorder: Recorder, count: int) -> bool:
    return await recorder.count("effect") >= count


async def led_by_others(cluster: Cluster, killed: int) -> bool:
    try:
        leaders = await cluster.leaders(TOPIC)
    except KafkaError:  # the dead node was asked
        return False
    return killed not in leaders and -1 not in leaders
