"""A PostgreSQL that is restarted under steady submissions: nothing is lost or doubled, and nobody has to help."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.ports import choose_ports
from deploy.local.postgres import LocalPostgres, Server
from deploy.local.process import Recorded
from deploy.local.supervise import Supervisor
from tests.chaos.desk import desk_behind
from tests.databases import Databases
from tests.waiting import until

CLIENTS, PER_SECOND = 4, 10
"""How many submit, and how often each of them."""


@dataclass
class Own:
    """A server of the test's own; the supervisor starts it again when it ends."""

    server: Server
    supervisor: Supervisor

    def process(self) -> Recorded | None:
        return next(iter(self.supervisor.records()), None)

    async def restart(self, how: signal.Signals) -> None:
        """End it, and wait until another process serves."""
        before = self.process()
        assert before is not None
        running = before.process()
        assert running is not None
        running.send_signal(how)
        await until(lambda: self.process() not in (None, before))
        await until(self.server.serves)


@pytest_asyncio.fixture(loop_scope="session")
async def own(tmp_path: Path) -> AsyncIterator[Own]:
    supervisor = Supervisor(lambda _: None, lambda _: None)
    local = LocalPostgres(tmp_path / "postgres", choose_ports(["postgres"])["postgres"], "postgres", fsync=False)
    await supervisor.start(await local.program(tmp_path / "postgres.log"), local.server.serves)
    yield Own(local.server, supervisor)
    await supervisor.stop()


async def test_a_server_that_is_restarted_and_one_that_is_killed(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = Databases(own.server)
    async with desk_behind(databases, tmp_path, monkeypatch, pool_size=CLIENTS) as desk:
        ended, answers = asyncio.Event(), []

        async def client() -> None:
            while not ended.is_set():
                answers.append(await desk.submit())
                await desk.taken_again(answers[-1][0])
                await asyncio.sleep(1 / PER_SECOND)

        async def taken() -> bool:
            return answers[-1][1].status_code == 201

        clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
        for how in (signal.SIGINT, signal.SIGKILL):  # a fast shutdown, and a crash
            await until(lambda: bool(answers))
            await own.restart(how)
            await until(taken)
        ended.set()
        await asyncio.gather(*clients)
        keys = [key for key, _ in answers]
        assert set(desk.answered) == {201, 503}
        applications = {await desk.taken_again(key) for key in keys}
        assert len(applications) == len(keys)
        await desk.stored_once(len(keys))
    await databases.close()
