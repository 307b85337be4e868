"""A service as a process of its own, as a deployment runs it: started until it answers, ended with the test."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from deploy.local.ports import choose_ports
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = Path(os.devnull)


@asynccontextmanager
async def running(
    service: str, *, module: str = "", arguments: Sequence[str] = (), log: Path = NOWHERE, **environment: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process and its address. Nothing is inherited but what is named; `module` runs the service in its own way."""
    port = choose_ports([service])[service]
    with log.open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module or f"services.{service}", *arguments, cwd=ROOT, stdout=said, stderr=said,
            env={"PATH": "/usr/bin:/bin", f"RELEVE_{service.upper()}_PORT": str(port), **environment},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        await until(lambda: _answers(url))
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def missing(url: str) -> list[str]:
    """What a process says it lacks; empty when it is ready."""
    async with httpx.AsyncClient() as client:
        found: list[str] = (await client.get(f"{url}/readyz", timeout=20)).json()["missing"]
        return found


async def _answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{url}/healthz", timeout=5)).is_success
    except httpx.HTTPError:
        return False
