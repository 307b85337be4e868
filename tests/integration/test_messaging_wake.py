"""The relay is woken where it is: in its own process, or in another one after the commit there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.clock import business_now
from shared.db import Database
from shared.events.ops import EventQuarantined
from shared.messaging.relay import Relay
from shared.messaging.wake import CHANNEL, tell_relay
from shared.tasks import end_tasks
from shared.telemetry import Cause
from tests.messaging_bench import settings
from tests.waiting import until

NEVER_S = 3600.0


@asynccontextmanager
async def another_process(database: Database) -> AsyncIterator[Database]:
    """One that writes and has no relay: its own pool, its own signal."""
    other = Database(database.dsn, "funding")
    telling = asyncio.create_task(tell_relay(other))
    try:
        yield other
    finally:
        await end_tasks([telling])
        await other.close()


@asynccontextmanager
async def relaying(database: Database, kafka: str) -> AsyncIterator[None]:
    chosen = settings(kafka_bootstrap_servers=kafka, relay_poll_s=NEVER_S)
    tasks = [asyncio.create_task(Relay(database, chosen).run()), asyncio.create_task(tell_relay(database))]
    try:
        yield
    finally:
        await end_tasks(tasks)


async def write(database: Database) -> None:
    event = EventQuarantined(
        occurred_at=business_now(), service="funding", consumer="test", origin_topic="test", origin_partition=0,
        origin_offset=0, origin_key="test", reason="test", attempts=1,
    )  # fmt: skip
    async with database.transaction() as tx:
        tx.outbox.record(event, Cause.anew("test"))


async def all_sent(database: Database) -> bool:
    async with database.transaction() as tx:
        return await tx.fetch_value("SELECT count(*) FROM outbox") == 0


async def test_a_commit_in_another_process_wakes_the_relay(messaging_database: Database, kafka: str) -> None:
    async with relaying(messaging_database, kafka), another_process(messaging_database) as other:
        await until(lambda: messaging_database.relay_is_here)
        for _ in range(3):
            await write(other)
            await until(lambda: all_sent(other), within_s=20)


async def test_a_process_whose_relay_leads_keeps_its_signal_to_itself(messaging_database: Database, kafka: str) -> None:
    heard: list[int] = []
    async with relaying(messaging_database, kafka), another_process(messaging_database) as other:
        await until(lambda: messaging_database.relay_is_here)
        listener = await other.lone_connection()
        await listener.add_listener(CHANNEL, lambda _connection, sender, *_: heard.append(sender))
        await write(messaging_database)
        await until(lambda: all_sent(other), within_s=20)
        await write(other)
        await until(lambda: bool(heard))
        listener.terminate()
    assert len(heard) == 1
