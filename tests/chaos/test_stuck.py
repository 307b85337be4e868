"""A process that gets nothing done though its dependencies answer says so and ends; one that waits for them stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer

from shared.config import Settings
from shared.events.ops import ReplayRequested
from tests.databases import Addresses, Databases
from tests.messaging_bench import Tape
from tests.processes import missing, running
from tests.proxy import proxy_of
from tests.waiting import until

NOBODY = "127.0.0.1:1"
QUICK = {
    "RELEVE_WATCHDOG_EVERY_S": "0.2", "RELEVE_STUCK_AFTER_S": "2", "RELEVE_ANSWERING_FOR_S": "4",
    "RELEVE_RETRY_LONGEST_S": "0.5", "RELEVE_SESSION_TIMEOUT_S": "6", "RELEVE_CONNECT_TIMEOUT_S": "1",
    "RELEVE_GRACEFUL_S": "1", "RELEVE_END_WITHIN_S": "5",
}  # fmt: skip
AWAY = '"watchdog.dependency_away"'
LOOKS = 15
"""So often the watchdog finds a dependency away: more than enough for a process to be ended, were it stuck."""


def test_by_default_a_stuck_process_is_gone_within_a_minute() -> None:
    settings = Settings()
    looks_s = 3 * settings.watchdog_every_s
    assert settings.stuck_after_s + settings.answering_for_s + looks_s + settings.end_within_s <= 60


def around(addresses: Addresses, kafka: str, **more: str) -> dict[str, str]:
    about = {"RELEVE_INTAKE_DATABASE_URL": addresses.runtime, "RELEVE_KAFKA_BOOTSTRAP_SERVERS": kafka}
    return {**QUICK, **about, **more}


async def named_in(url: str, page: str, named: str) -> bool:
    """Whether an operators' page refuses and names it."""
    try:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{url}/{page}", timeout=5)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and named in answer.text


async def names_it_and_ends(process: asyncio.subprocess.Process, url: str, named: str) -> None:
    await until(lambda: named_in(url, "healthz", named))
    async with asyncio.timeout(20):
        await process.wait()


@pytest.mark.parametrize("sickness", ["refused", "dead"])
async def test_a_process_whose_consumers_take_nothing_names_them_and_ends(
    databases: Databases, kafka: str, sickness: str
) -> None:
    about = around(await databases.addresses("intake"), kafka)
    async with running("intake", module="tests.chaos.sick", arguments=[sickness], **about) as (process, url):
        await names_it_and_ends(process, url, "consumer intake.funding.grants")


@asynccontextmanager
async def owner(addresses: Addresses) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(addresses.owner)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_process_whose_rights_were_revoked_is_not_ready_then_ends(databases: Databases, kafka: str) -> None:
    addresses = await databases.addresses("intake")
    async with running("intake", **around(addresses, kafka)) as (process, url):
        await until(lambda: is_ready(url))
        async with owner(addresses) as connection:
            await connection.execute("REVOKE INSERT ON inbox FROM releve_intake")
        await publish_a_command(kafka)
        await until(lambda: named_in(url, "readyz", "consumer intake.ops.commands: "))
        await names_it_and_ends(process, url, "SQLSTATE 42501")


async def publish_a_command(kafka: str) -> None:
    """To nobody: every service takes it, and does nothing."""
    asked = ReplayRequested(
        occurred_at=datetime(2021, 9, 1, tzinfo=UTC), service="nobody", consumer="nobody.nothing", origin_key="x",
        requested_by="operator",
    )  # fmt: skip
    record = Tape("ops.commands").record(asked)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        await producer.send_and_wait("ops.commands", record.value, key=record.key, headers=list(record.headers))
    finally:
        await producer.stop()


@pytest.mark.parametrize("how", ["has no right to its outbox", "waits for its outbox for ever"])
async def test_a_process_whose_relay_is_stuck_names_it_and_ends(databases: Databases, kafka: str, how: str) -> None:
    addresses = await databases.addresses("intake")
    async with running("intake", **around(addresses, kafka)) as (process, url), owner(addresses) as connection:
        await until(lambda: is_ready(url))
        if how == "has no right to its outbox":
            await connection.execute("REVOKE SELECT ON outbox FROM releve_intake")
            await names_it_and_ends(process, url, "relay intake")
            return
        async with connection.transaction():
            await connection.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
            await names_it_and_ends(process, url, "relay intake")


async def is_ready(url: str) -> bool:
    return not await missing(url)


def looked_often(log: Path) -> Callable[[], bool]:
    return lambda: log.read_text("utf-8").count(AWAY) >= LOOKS


async def test_a_process_without_kafka_stays_and_says_what_is_missing(databases: Databases, tmp_path: Path) -> None:
    log = tmp_path / "log"
    about = around(await databases.addresses("intake"), NOBODY, RELEVE_STUCK_AFTER_S="0.5")
    async with running("intake", log=log, **about) as (process, url):
        await until(looked_often(log))
        assert await named_in(url, "readyz", "kafka intake: ")
        assert not await named_in(url, "healthz", "")
        assert process.returncode is None


async def test_a_process_without_its_database_stays_says_so_and_goes_on_when_it_is_back(
    databases: Databases, kafka: str, tmp_path: Path
) -> None:
    log, addresses = tmp_path / "log", await databases.addresses("intake")
    async with proxy_of(addresses.runtime) as proxy:
        behind = Addresses(proxy.through(addresses.runtime), addresses.owner)
        about = around(behind, kafka, RELEVE_ANSWERING_FOR_S="10")
        async with running("intake", log=log, **about) as (process, url):
            await until(lambda: is_ready(url))
            proxy.refuse()
            await until(lambda: named_in(url, "readyz", "database: "))
            await until(looked_often(log))
            assert not await named_in(url, "healthz", "")
            proxy.accept()
            await until(lambda: is_ready(url))
            assert process.returncode is None
