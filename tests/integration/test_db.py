"""Transactions whose task is given up at any moment: what they did is undone, and the next one commits for good."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest_asyncio

from shared.db import Database

MOST_TURNS = 300
"""A transaction takes a few dozen turns of the loop."""
STORE = "INSERT INTO sequence_counter (topic, key, value) VALUES ('test', :key, 1)"


async def _store(db: Database, *keys: str) -> None:
    async with db.transaction() as tx:
        for key in keys:
            await tx.execute(STORE, key=key)


async def _fail(db: Database, key: str) -> None:
    async with db.transaction() as tx:
        await tx.execute(STORE, key=key)
        raise ZeroDivisionError


async def _stored_by_all(db: Database) -> set[str]:
    """What others see: asked on a connection of its own."""
    connection = await db.lone_connection()
    try:
        return {row["key"] for row in await connection.fetch("SELECT key FROM sequence_counter")}
    finally:
        await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def one_connection(messaging_database: Database) -> AsyncIterator[Database]:
    """The database by a pool of one connection: what is left on it, the next transaction meets."""
    db = Database(messaging_database.dsn, "test", pool_size=1)
    yield db
    await db.close()


async def _given_up_after(turns: int, transaction: Coroutine[Any, Any, None]) -> bool:
    """Whether a transaction was given up after so many turns of the loop, before it ended."""
    task = asyncio.create_task(transaction)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    return isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)


async def test_after_a_transaction_given_up_at_any_moment_the_next_is_seen_by_all(one_connection: Database) -> None:
    for turns in range(MOST_TURNS):
        given_up = await _given_up_after(turns, _store(one_connection, f"{turns}-first", f"{turns}-second"))
        await _store(one_connection, f"after-{turns}")
        found = await _stored_by_all(one_connection)
        assert f"after-{turns}" in found
        assert len({f"{turns}-first", f"{turns}-second"} & found) in ({0, 2} if given_up else {2})
        if not given_up:
            return
    raise AssertionError("no transaction came to its end, however late it was given up")


async def test_after_a_failure_given_up_while_it_is_undone_the_next_is_seen_by_all(one_connection: Database) -> None:
    for turns in range(MOST_TURNS):
        given_up = await _given_up_after(turns, _fail(one_connection, f"{turns}-failed"))
        await _store(one_connection, f"after-{turns}")
        found = await _stored_by_all(one_connection)
        assert f"after-{turns}" in found
        assert f"{turns}-failed" not in found
        if not given_up:
            return
    raise AssertionError("no failure came to its end, however late it was given up")


async def test_a_server_misses_a_client_whose_machine_is_gone_within_half_a_minute(one_connection: Database) -> None:
    names = ("idle", "interval", "count")
    connection = await one_connection.lone_connection()
    try:
        lone = [int(await connection.fetchval(f"SHOW tcp_keepalives_{name}")) for name in names]
    finally:
        await connection.close()
    async with one_connection.transaction() as tx:
        pooled = [int(await tx.fetch_value(f"SHOW tcp_keepalives_{name}")) for name in names]
    idle, interval, count = lone
    assert pooled == lone
    assert 0 < idle + interval * count <= 30
