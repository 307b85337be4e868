"""SIGTERM ends every service in time, also when nothing that it depends on is there, and with a stream left open."""

from __future__ import annotations

import asyncio
import signal

import pytest

from shared.events.topics import SERVICES
from tests.databases import Databases
from tests.processes import running

NOBODY = "127.0.0.1:1"
PROMISED_S = 20


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
        _, writer = await asyncio.open_connection(host, int(port))
        # A request that never ends: its body was announced and does not come.
        writer.write(b"POST /api/v1/calls/x/applications HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n"
                     b"Content-Length: 100\r\n\r\n{")  # fmt: skip
        await writer.drain()
        await ends_in_time(process)
        writer.close()
