"""Owns the fixtures that all tests share: real servers, fresh databases, a mailbox, whole systems."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.launcher import Options
from deploy.local.ports import PORTS_VARIABLE
from deploy.local.run import down, up_detached
from deploy.local.state import StateFolder
from deploy.local.system import System
from tests.databases import Databases
from tests.mailbox import Mailbox, started_mailbox
from tests.servers import Servers, as_processes, shared_servers

os.environ[PORTS_VARIABLE] = "any"
"""A system of the tests is in nobody's way, and nobody's variables are in its."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers() -> AsyncIterator[Servers]:
    """The one PostgreSQL and the one Kafka of this run, shared by its processes."""
    async with shared_servers(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))) as running:
        yield running


@pytest.fixture
def kafka(servers: Servers) -> str:
    """A broker's address, all declared topics there. Shared: use keys and groups of your own."""
    return servers.kafka


@pytest_asyncio.fixture(loop_scope="session")
async def databases(servers: Servers) -> AsyncIterator[Databases]:
    """`db = await databases("funding")`: a fresh, migrated database as the runtime role, dropped after the test."""
    given = Databases(servers.postgres)
    yield given
    await given.close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A real SMTP server that keeps what it is sent."""
    mailbox, controller = started_mailbox()
    yield mailbox
    controller.stop()


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], System]]:
    """`system = systems()`: a whole system of its own at a simulated clock, as `releve up` runs it (some 15 s)."""
    folders: list[StateFolder] = []

    def start() -> System:
        folders.append(StateFolder.at(Path(tmp_path_factory.mktemp("system"))))
        return up_detached(folders[-1], Options(simulated=True, provider=as_processes()), tell=print, outlive=False)

    yield start
    for folder in folders:
        down(folder, print)
