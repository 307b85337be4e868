"""Owns the whole system as processes: the five services with all roles, the local issuer, a mail sink, a clock file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.place import Place, process, until_it_answers, web_process
from benchmarks.sink import Sink, sunk
from cli.tokens import staff_token
from deploy.local.ports import choose_ports
from shared.clock import ENVIRONMENT_VARIABLE as CLOCK_VARIABLE
from shared.clock import write_clock
from shared.events.topics import SERVICES

REVIEWERS = tuple(f"reviewer-{number:02}" for number in range(1, 9))
STAFF = ("admin", "chair", "officer", *REVIEWERS)


@dataclass(frozen=True, slots=True)
class Whole:
    """A running system: addresses by service, bearer tokens by person, the sink, the clock's file, databases."""

    urls: dict[str, str]
    tokens: dict[str, str]
    sink: Sink
    clock: Path
    databases: dict[str, str]

    def move_clock(self, to: datetime) -> None:
        """Forwards."""
        write_clock(self.clock, to)


@asynccontextmanager
async def running(place: Place, began: datetime) -> AsyncIterator[Whole]:
    """Start everything at a simulated instant, and end it."""
    clock = place.folder / "clock"
    write_clock(clock, began)
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(sunk(place, "whole-sink"))
        issuer = await stack.enter_async_context(_issuer(place))
        databases = {name: (await place.databases.addresses(name)).runtime for name in SERVICES}
        common = {
            "RELEVE_KAFKA_BOOTSTRAP_SERVERS": place.kafka, "RELEVE_OIDC_ISSUER": issuer, CLOCK_VARIABLE: str(clock),
            "RELEVE_SMTP_URL": f"smtp://127.0.0.1:{sink.port}",
        }  # fmt: skip
        urls = {}
        for name in SERVICES:
            urls[name] = await stack.enter_async_context(
                web_process(
                    place, f"whole-{name}", "-m", f"services.{name}", port_variable=f"RELEVE_{name.upper()}_PORT",
                    environment=common | {f"RELEVE_{name.upper()}_DATABASE_URL": databases[name]}, ready="/readyz",
                )
            )  # fmt: skip
        tokens = {name: await asyncio.to_thread(staff_token, issuer, name) for name in STAFF}
        yield Whole(urls, tokens, sink, clock, databases)


@asynccontextmanager
async def _issuer(place: Place) -> AsyncIterator[str]:
    port = choose_ports(["issuer"])["issuer"]
    url = f"http://127.0.0.1:{port}"
    command = ["-m", "deploy.local.issuer", "--issuer", url, "--port", str(port)]
    async with process(place, "issuer", *command, "--key-file", str(place.folder / "issuer-key.json"), environment={}):
        await until_it_answers(url + "/.well-known/openid-configuration", place.folder / "issuer.log")
        yield url
