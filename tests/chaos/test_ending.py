"""SIGTERM ends every service in time, also when nothing that it depends on is there, and with a stream left open."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from deploy.local.ports import choose_ports
from shared.events.topics import SERVICES
from tests.databases import Databases
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "127.0.0.1:1"
PROMISED_S = 20


@asynccontextmanager
async def running(service: str, **environment: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    port = choose_ports([service])[service]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", f"RELEVE_{service.upper()}_PORT": str(port), **environment},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        await until(lambda: answers(url))
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{url}/healthz", timeout=5)).is_success
    except httpx.HTTPError:
        return False


async def ends_in_time(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PROMISED_S):
        await process.wait()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_ends_in_time_with_kafka_and_postgresql_gone(service: str) -> None:
    gone = {
        "RELEVE_KAFKA_BOOTSTRAP_SERVERS": NOBODY,
        f"RELEVE_{service.upper()}_DATABASE_URL": f"postgresql://nobody@{NOBODY}/nothing",
    }
    async with running(service, **gone) as (process, _):
        await ends_in_time(process)


async def test_a_service_ends_in_time_while_somebody_waits_for_its_answer(databases: Databases, kafka: str) -> None:
    addresses = await databases.addresses("intake")
    about = {"RELEVE_KAFKA_BOOTSTRAP_SERVERS": kafka, "RELEVE_INTAKE_DATABASE_URL": addresses.runtime}
    async with running("intake", **about) as (process, url):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        # A request that never ends: its body was announced and does not come.
        writer.write(b"POST /api/v1/calls/x/applications HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n"
                     b"Content-Length: 100\r\n\r\n{")  # fmt: skip
        await writer.drain()
        await ends_in_time(process)
        writer.close()
        assert await reader.read() is not None
