"""Owns what contenders of hop and relay have in common: each is a process of its own with a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import psutil

from benchmarks.place import Place, process
from deploy.local.ports import choose_ports
from shared.events.topics import Topic
from shared.messaging.administer import create_topics
from tests.databases import Addresses

PRODUCT = "releve"
NAMES = ("limit", "plain", PRODUCT)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a service that is raced: the baselines' name for it, and the roles that do it in the product."""

    name: str
    service: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One contender, running: its name, its database, the owner's connection to it, and its process."""

    name: str
    addresses: Addresses
    owner: asyncpg.Connection
    process: psutil.Process

    def cpu_s(self) -> float:
        """What the process itself has used of a processor until now."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def started(place: Place, part: Part, name: str, told: Mapping[str, str]) -> AsyncIterator[Side]:
    """A contender as a process; a baseline is `told` some of its variables."""
    addresses = await place.databases.addresses(part.service)
    owner = await asyncpg.connect(addresses.owner)
    try:
        async with _process(place, part, name, addresses, told) as pid:
            yield Side(name, addresses, owner, psutil.Process(pid))
    finally:
        await owner.close()


def _process(
    place: Place, part: Part, name: str, addresses: Addresses, told: Mapping[str, str]
) -> AbstractAsyncContextManager[int]:
    log = f"{part.name}-{part.service}-{name}"
    if name != PRODUCT:
        baseline, own = f"benchmarks.baselines.{part.name}_{name}", part.name.upper()
        environment = {
            f"{own}_SERVICE": part.service, f"{own}_DATABASE_URL": addresses.runtime, f"{own}_KAFKA": place.kafka,
        }  # fmt: skip
        return process(place, log, "-m", baseline, environment=environment | dict(told))
    own, port = f"RELEVE_{part.service.upper()}", choose_ports([part.service])[part.service]
    environment = {
        f"{own}_DATABASE_URL": addresses.runtime, f"{own}_PORT": str(port),
        "RELEVE_KAFKA_BOOTSTRAP_SERVERS": place.kafka,
    }  # fmt: skip
    roles = [word for role in part.roles for word in ("--role", role)]
    return process(place, log, "-m", f"services.{part.service}", *roles, environment=environment)


async def make_topics(place: Place, *names: str) -> None:
    """Make topics that no service knows of."""
    await create_topics(place.kafka, topics=[Topic(each, (), "", (), ()) for each in names])
