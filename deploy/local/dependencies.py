"""Owns starting what the services need (Kafka, PostgreSQL, mail, identity), each the way that was chosen for it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from deploy.local import postgres
from deploy.local.choice import Choice, Need, Way
from deploy.local.docker import ROOT
from deploy.local.kafka import LocalKafka
from deploy.local.ports import choose_ports
from deploy.local.process import Program
from deploy.local.state import StateFolder
from deploy.local.supervise import Supervisor
from shared.events.topics import SERVICES

_PORTS: Mapping[Need, tuple[str, ...]] = {
    Need.KAFKA: ("kafka", "kafka-controller"),
    Need.POSTGRES: ("postgres",),
    Need.MAIL: ("mail",),
    Need.IDENTITY: ("issuer",),
}


_CONNECT_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the four needs are met, from this machine."""

    kafka: str
    smtp: str
    issuer: str
    databases: Mapping[str, str]
    """Runtime roles, by service."""
    owners: Mapping[str, str]
    """Owner roles, by service: for migrations only."""


def ports_of(needs: list[Need]) -> dict[str, int]:
    """Ports for the needs that this machine itself provides."""
    return choose_ports([role for need in needs for role in _PORTS[need]])


def tenancies(password: str) -> list[postgres.Tenancy]:
    """One tenancy for each service."""
    return [postgres.Tenancy(service, password) for service in SERVICES]


def database_parts(server: postgres.Server, password: str) -> dict[str, object]:
    """The parts of Addresses that a server with all tenancies provides."""
    owned = tenancies(password)
    return {
        "databases": {one.service: server.url(one.database, one.runtime_role, password) for one in owned},
        "owners": {one.service: server.url(one.database, one.owner_role, password) for one in owned},
    }


class LocalDependencies:
    """Starts the needs that are met by processes of this machine."""

    def __init__(self, state: StateFolder, supervisor: Supervisor, ports: Mapping[str, int]) -> None:
        self._state, self._supervisor, self._ports = state, supervisor, ports

    async def start(self, needs: list[Need]) -> dict[str, object]:
        """Start these beside each other; the parts of Addresses that they provide. Raises DidNotStart, Missing."""
        starts = {
            Need.KAFKA: self._kafka, Need.POSTGRES: self._postgres, Need.MAIL: self._mail, Need.IDENTITY: self._issuer,
        }  # fmt: skip
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(starts[need]()) for need in needs]
        parts: dict[str, object] = {}
        for task in tasks:
            parts |= task.result()
        return parts

    async def _kafka(self) -> dict[str, object]:
        broker = LocalKafka(self._state.path / "kafka", self._ports["kafka"], self._ports["kafka-controller"])
        program = await broker.program(self._state.log("kafka"))
        await self._supervisor.start(program, broker.serves, within_s=90)
        return {"kafka": broker.bootstrap}

    async def _postgres(self) -> dict[str, object]:
        folder, password = self._state.path / "postgres", self._state.secret("postgres")
        local = postgres.LocalPostgres(folder, self._ports["postgres"], password)
        program = await local.program(self._state.log("postgres"))
        await self._supervisor.start(program, local.server.serves)
        services_password = self._state.secret("services")
        await postgres.provide(local.server, tenancies(services_password))
        return database_parts(local.server, services_password)

    async def _mail(self) -> dict[str, object]:
        port = self._ports["mail"]
        arguments = ["--folder", str(self._state.mail)]
        await self._supervisor.start(self._module("mail", port, arguments), lambda: listens(port))
        return {"smtp": f"smtp://127.0.0.1:{port}"}

    async def _issuer(self) -> dict[str, object]:
        port, key_file = self._ports["issuer"], self._state.path / "issuer-key.json"
        issuer = f"http://127.0.0.1:{port}"
        arguments = ["--issuer", issuer, "--key-file", str(key_file)]
        await self._supervisor.start(self._module("issuer", port, arguments), lambda: discovers(issuer))
        return {"issuer": issuer}

    def _module(self, role: str, port: int, arguments: list[str]) -> Program:
        command = [sys.executable, "-m", f"deploy.local.{role}", "--port", str(port), *arguments]
        return Program(role, command, os.environ, ROOT, self._state.log(role), ports=(port,))


async def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def mail_listens(url: str) -> bool:
    """Whether something accepts connections at an smtp:// address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "127.0.0.1", parts.port or 25
    except ValueError:
        return False
    return await listens(port, host)


async def discovers(issuer: str) -> bool:
    """Whether an OpenID issuer publishes its discovery document there."""
    return await serves(f"{issuer.rstrip('/')}/.well-known/openid-configuration")


async def serves(url: str) -> bool:
    """Whether a GET of that address gives 200."""
    try:
        async with httpx.AsyncClient(timeout=5, verify=url.startswith("https")) as client:
            return (await client.get(url)).status_code == httpx.codes.OK
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


async def lacking(url: str) -> list[str]:
    """What a service says it lacks; nothing where it is ready or says nothing."""
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.get(url)
            return [] if answer.is_success else [str(each) for each in answer.json().get("missing", [])]
    except (httpx.HTTPError, ValueError):
        return []


def met(choices: Mapping[Need, Choice], way: Way) -> list[Need]:
    """The needs that are met this way."""
    return [need for need, choice in choices.items() if choice.way is way]
