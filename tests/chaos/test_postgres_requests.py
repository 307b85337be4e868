"""PostgreSQL failing under a submission: 201 or 503 with Retry-After, nothing half done, and recovery by itself."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args

import asyncpg
import pytest
from sqlalchemy import make_url

from tests.chaos.desk import Desk, desk_behind
from tests.databases import Databases
from tests.proxy import Cut, When
from tests.waiting import until

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
WORDS = 40
"""More than a submission says to its database."""


@pytest.mark.parametrize("when", get_args(When))
async def test_cut_at_any_word_of_a_submission(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: When
) -> None:
    """The client does not know whether it was stored; the same key tells it, and stores it once."""
    async with desk_behind(databases, tmp_path, monkeypatch) as desk:
        refused = 0
        for word in range(1, WORDS):
            desk.behind.proxy.cut = cut = Cut(when, at=word)
            key, answer = await desk.submit()
            desk.behind.proxy.cut = None
            assert await desk.taken_again(key) == await desk.taken_again(key)
            refused += answer.status_code == 503
            if not cut.done:
                break
        # Every word of it was cut once: BEGIN, six statements, COMMIT.
        assert refused == word - 1 >= 8
        await desk.stored_once(word)


async def test_cut_while_it_connects(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk_behind(databases, tmp_path, monkeypatch) as desk:
        for word in range(1, 6):
            desk.behind.proxy.cut_all()
            desk.behind.proxy.cut = Cut("before", at=word)
            key, _ = await desk.submit()
            await desk.taken_again(key)
        await desk.stored_once(5)


async def test_a_database_that_falls_silent_at_any_word(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No reset tells that it is gone: a request is not held up for ever, and what it began is not kept open."""
    async with AsyncExitStack() as stack:
        limits = {"statement_timeout_s": 0.6, "connect_timeout_s": 1.0, "pool_wait_s": 1.0}
        desks = [
            await stack.enter_async_context(desk_behind(databases, tmp_path, monkeypatch, **limits)) for _ in range(5)
        ]

        async def silent_at(word: int, desk: Desk) -> None:
            desk.behind.proxy.freezes_at = word
            async with asyncio.timeout(20):
                key, answer = await desk.submit()
            assert answer.status_code == 503
            desk.behind.proxy.thaw()
            await desk.taken_again(key)
            await desk.stored_once(1)

        await asyncio.gather(*(silent_at(word, desk) for word, desk in zip((1, 4, 7, 10, 12), desks, strict=True)))


async def test_a_slow_database_is_waited_for(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_behind(databases, tmp_path, monkeypatch) as desk:
        desk.behind.proxy.delay_s = 0.03
        _, answer = await desk.submit()
        assert answer.status_code == 201
        await desk.stored_once(1)


async def test_a_database_that_takes_nobody(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_behind(databases, tmp_path, monkeypatch) as desk:
        desk.behind.proxy.refuse()
        keys = [await desk.submit() for _ in range(3)]
        assert {answer.status_code for _, answer in keys} == {503}
        desk.behind.proxy.accept()
        assert len({await desk.taken_again(key) for key, _ in keys}) == 3
        await desk.stored_once(3)


async def test_a_pool_that_is_all_in_use(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk_behind(databases, tmp_path, monkeypatch, pool_size=2, pool_wait_s=0.2) as desk:
        async with desk.behind.db.transaction() as one, desk.behind.db.transaction() as other:
            for held in (one, other):
                await held.fetch_value("SELECT 1")
            key, answer = await desk.submit()
            assert answer.status_code == 503
        await desk.taken_again(key)
        await desk.stored_once(1)


async def test_a_statement_that_takes_too_long(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the table: the server gives the statement up, and with it all that the request had done."""
    async with desk_behind(databases, tmp_path, monkeypatch, statement_timeout_s=0.3) as desk:
        async with desk.behind.direct.transaction() as hog:
            await hog.execute("SELECT * FROM round FOR UPDATE")
            key, answer = await desk.submit()
            assert answer.status_code == 503
            assert await desk.behind.count("applicant") == 0
        await desk.taken_again(key)
        await desk.stored_once(1)


async def test_a_submission_that_is_ended_for_a_deadlock(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody waits for what the request holds, and holds what it waits for; it has waited longer, and is ended."""
    async with desk_behind(databases, tmp_path, monkeypatch) as desk:
        other = await asyncpg.connect(databases.server.url(str(make_url(desk.behind.direct.dsn).database)))
        async with other.transaction():
            await other.execute("SET LOCAL deadlock_timeout = '1 min'")
            await other.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
            submitting = asyncio.create_task(desk.submit())
            await until(lambda: somebody_waits(desk))
            await other.execute("SELECT FROM round FOR UPDATE")
            key, answer = await submitting
            assert answer.status_code == 503
        await other.close()
        await desk.taken_again(key)
        await desk.stored_once(1)


async def somebody_waits(desk: Desk) -> bool:
    return bool(await desk.behind.value(WAITING))


async def test_many_at_once_while_connections_are_cut(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_behind(databases, tmp_path, monkeypatch, pool_size=4) as desk:
        submitting = [asyncio.create_task(desk.submit()) for _ in range(40)]
        while not all(task.done() for task in submitting):
            await asyncio.sleep(0.03)
            desk.behind.proxy.cut_all()
        answers = [await task for task in submitting]
        applications = {await desk.taken_again(key) for key, _ in answers}
        assert len(applications) == len(answers)
        assert any(answer.status_code == 503 for _, answer in answers)
        await desk.stored_once(len(answers))
