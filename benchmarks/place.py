"""Owns where benchmarks run: one Kafka and one PostgreSQL that keep what they confirm, and processes beside them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from deploy.local.ports import choose_ports
from tests.databases import Addresses, Databases
from tests.servers import Servers, started_servers

READY_WITHIN_S = 60.0
END_WITHIN_S = 20.0
DURABLE = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


@dataclass(frozen=True, slots=True)
class Place:
    """The servers of one run, fresh databases in them, and a folder for what is written on the way."""

    servers: Servers
    databases: Databases
    folder: Path

    @property
    def kafka(self) -> str:
        """The broker's address, all declared topics there."""
        return self.servers.kafka


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Place]:
    """Start the servers, and stop them at the end."""
    async with started_servers(folder, fsync=True) as servers:
        databases = Databases(servers.postgres)
        try:
            yield Place(servers, databases, folder)
        finally:
            await databases.close()


async def durability(place: Place) -> dict[str, str]:
    """The database's settings that decide what a commit costs."""
    connection = await asyncpg.connect(place.servers.postgres.url("postgres"))
    try:
        return {name: await connection.fetchval("SELECT current_setting($1)", name) for name in DURABLE}
    finally:
        await connection.close()


async def emptied(addresses: Addresses) -> None:
    """Leave nothing of the product in a database."""
    connection = await asyncpg.connect(addresses.owner)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


@asynccontextmanager
async def process(place: Place, name: str, *command: str, environment: Mapping[str, str]) -> AsyncIterator[int]:
    """A Python process beside this one, ended at the end; its id. What it says goes to a log in the folder."""
    with (place.folder / f"{name}.log").open("ab") as log:
        running = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=dict(os.environ) | dict(environment), stdout=log, stderr=log
        )
        try:
            yield running.pid
        finally:
            if running.returncode is None:
                running.terminate()
                try:
                    async with asyncio.timeout(END_WITHIN_S):
                        await running.wait()
                except TimeoutError:
                    running.kill()
                    await running.wait()


@asynccontextmanager
async def web_process(
    place: Place, name: str, *command: str, environment: Mapping[str, str], port_variable: str, ready: str
) -> AsyncIterator[str]:
    """A process that serves HTTP on a port of its own, once it answers at the path `ready`; its address."""
    port = choose_ports([name])[name]
    url = f"http://127.0.0.1:{port}"
    async with process(place, name, *command, environment={**environment, port_variable: str(port)}):
        await until_it_answers(url + ready, place.folder / f"{name}.log")
        yield url


async def until_it_answers(url: str, log: Path) -> None:
    """Wait until a process serves. Raises TimeoutError naming its log."""
    try:
        async with asyncio.timeout(READY_WITHIN_S), httpx.AsyncClient() as client:
            while True:
                try:
                    if (await client.get(url)).is_success:
                        return
                except httpx.TransportError:
                    pass  # not yet
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise TimeoutError(f"{url} did not answer; the process's log is {log}") from None
