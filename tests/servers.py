"""Owns the one PostgreSQL and the one Kafka of a test run, shared by its processes; it knows no test."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from testcontainers.core.container import DockerContainer

from deploy.local import cache, docker, kafka, postgres
from deploy.local.choice import PROVIDER_VARIABLE
from deploy.local.ports import choose_ports
from deploy.local.supervise import Supervisor
from shared.messaging.administer import create_topics

KAFKA_VARIABLE = "RELEVE_TEST_KAFKA_BOOTSTRAP_SERVERS"
POSTGRES_VARIABLE = "RELEVE_TEST_POSTGRES_URL"
"""An administrator's address, who may create roles and databases."""
KAFKA_IMAGE, POSTGRES_IMAGE = "apache/kafka:4.3.0", "postgres:18"
_FOLDER_PREFIX = "releve-tests-"


def as_processes() -> str:
    """The provider under which services are processes that a test can kill: only the servers come from an engine."""
    return "servers" if _in_docker() else "local"


def _in_docker() -> bool:
    return docker.engine().answers and os.environ.get(PROVIDER_VARIABLE) != "local"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the run's servers are; `kafka` has all declared topics."""

    kafka: str
    postgres_host: str
    postgres_port: int
    postgres_user: str
    postgres_password: str

    @property
    def postgres(self) -> postgres.Server:
        """The database server as its administrator."""
        return postgres.Server(self.postgres_host, self.postgres_port, self.postgres_password, self.postgres_user)


@asynccontextmanager
async def shared_servers(run: str) -> AsyncIterator[Servers]:
    """The servers of one test run: its first process starts them, and stops them after the last one let go.

    `run` names the run in all of its processes.
    """
    folder = Path(tempfile.gettempdir()) / f"{_FOLDER_PREFIX}{run}"
    _remove_abandoned(folder)
    folder.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        owner = False
        stack.callback(lambda: shutil.rmtree(folder, ignore_errors=True) if owner else None)
        users = stack.enter_context((folder / "users.lock").open("a"))
        fcntl.flock(users, fcntl.LOCK_SH)
        async with _locked(folder / "start.lock"):
            description = folder / "servers.json"
            owner = not description.exists()
            if owner:
                servers = await stack.enter_async_context(started_servers(folder, fsync=False))
                description.write_text(json.dumps(asdict(servers)), encoding="utf-8")
            else:
                servers = Servers(**json.loads(description.read_text("utf-8")))
        yield servers
        if owner:
            await _until_nobody_else_uses(users)


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    with path.open("a") as lock:
        while not cache.take(lock, fcntl.LOCK_EX):
            await asyncio.sleep(0.05)
        yield


async def _until_nobody_else_uses(users: IO[str]) -> None:
    """The kernel lets go of a dead process's lock, so this waits for the living only."""
    while not cache.take(users, fcntl.LOCK_EX):
        await asyncio.sleep(0.05)


def _remove_abandoned(own: Path) -> None:
    for folder in own.parent.glob(f"{_FOLDER_PREFIX}*"):
        if folder == own or folder.stat().st_uid != os.getuid():
            continue
        try:
            with (folder / "users.lock").open("r") as users:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError):
            continue


@asynccontextmanager
async def started_servers(folder: Path, *, fsync: bool) -> AsyncIterator[Servers]:
    """Both servers, each from what the environment names, else a container, else a local process.

    Tests kill processes, not the machine: what the kernel has taken is safe without `fsync`. Speed is another matter.
    """
    async with AsyncExitStack() as stack:
        supervisor = Supervisor(changed=lambda _: None, tell=lambda _: None)
        stack.push_async_callback(supervisor.stop)
        in_docker = _in_docker()
        bootstrap, server = await asyncio.gather(
            _kafka(folder, supervisor, stack, in_docker=in_docker),
            _postgres(folder, supervisor, stack, in_docker=in_docker, fsync=fsync),
        )
        await create_topics(bootstrap)
        yield Servers(bootstrap, server.host, server.port, server.user, server.password)


async def _kafka(folder: Path, supervisor: Supervisor, stack: AsyncExitStack, *, in_docker: bool) -> str:
    named = os.environ.get(KAFKA_VARIABLE)
    if named:
        return named
    ports = choose_ports(["kafka", "kafka-controller"])
    if in_docker:
        return await asyncio.to_thread(_kafka_container, stack, ports["kafka"])
    broker = kafka.LocalKafka(folder / "kafka", ports["kafka"], ports["kafka-controller"])
    program = await broker.program(folder / "kafka.log")
    await supervisor.start(program, broker.serves)
    return broker.bootstrap


async def _postgres(
    folder: Path, supervisor: Supervisor, stack: AsyncExitStack, *, in_docker: bool, fsync: bool
) -> postgres.Server:
    named = os.environ.get(POSTGRES_VARIABLE)
    if named:
        parts = urlsplit(named)
        host, port, user = parts.hostname or "127.0.0.1", parts.port or 5432, unquote(parts.username or "postgres")
        return postgres.Server(host, port, unquote(parts.password or ""), user)
    port = choose_ports(["postgres"])["postgres"]
    if in_docker:
        return await asyncio.to_thread(_postgres_container, stack, port)
    local = postgres.LocalPostgres(folder / "postgres", port, "postgres", fsync=fsync)
    program = await local.program(folder / "postgres.log")
    await supervisor.start(program, local.server.serves)
    return local.server


def _kafka_container(stack: AsyncExitStack, port: int) -> str:
    container = _on_loopback(DockerContainer(KAFKA_IMAGE), 9092, port)
    settings = {
        "NODE_ID": "1", "PROCESS_ROLES": "broker,controller", "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093", "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}", "AUTO_CREATE_TOPICS_ENABLE": "false",
        "LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0", "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1", "TRANSACTION_STATE_LOG_MIN_ISR": "1",
    }  # fmt: skip
    for name, value in settings.items():
        container = container.with_env(f"KAFKA_{name}", value)
    stack.enter_context(container)
    asyncio.run(_until(lambda: kafka.answers(f"127.0.0.1:{port}")))
    return f"127.0.0.1:{port}"


def _postgres_container(stack: AsyncExitStack, port: int) -> postgres.Server:
    container = _on_loopback(DockerContainer(POSTGRES_IMAGE), 5432, port)
    container = container.with_env("POSTGRES_PASSWORD", "postgres").with_command("postgres -c max_connections=200")
    stack.enter_context(container)
    server = postgres.Server("127.0.0.1", port, "postgres")
    asyncio.run(_until(server.serves))
    return server


def _on_loopback(container: DockerContainer, inside: int, port: int) -> DockerContainer:
    # The Docker SDK below takes an address with the port; the wrapper's types do not say so.
    container.ports[str(inside)] = ("127.0.0.1", port)  # type: ignore[assignment]
    return container


async def _until(holds: Callable[[], Awaitable[bool]], within_s: float = 90) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.1)
