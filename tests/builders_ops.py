"""A running ops for tests: its application over a fresh database, an issuer that knows two people, real SSE."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from services.ops import consumers
from services.ops.app import service
from services.ops.consumers import IndexingConsumer
from shared.config import ServiceSettings
from shared.db import Database
from shared.history import Recorded
from shared.identity import Staff
from shared.messaging.records import RawRecord
from shared.service import Runtime, make_app, make_runtime
from shared.web.problems import Problem
from tests.builders_history import raw_of
from tests.declared import client_of

OPERATOR, OFFICER = {"Authorization": "Bearer operator"}, {"Authorization": "Bearer officer"}


class KnownPeople:
    """Stands for the issuer: a token is the name of a role. Tokens themselves are the identity tests' matter."""

    async def staff(self, token: str) -> Staff:
        if token not in {"operator", "officer"}:
            raise Problem(401, "unauthenticated", "The token does not hold.")
        return Staff(f"{token}-1", frozenset({token}))


def settings(**changes: Any) -> ServiceSettings:
    values = {"database_url": "postgresql://nobody@127.0.0.1:1/none", "retry_first_s": 0.01, "retry_longest_s": 0.05}
    return ServiceSettings(**{**values, **changes})


@dataclass
class Ops:
    """The ops service over one database."""

    db: Database
    app: FastAPI
    runtime: Runtime
    client: httpx.AsyncClient
    _consumers: dict[str, IndexingConsumer] = field(default_factory=dict)

    async def take(self, records: Sequence[Recorded | RawRecord], times: int = 2) -> None:
        """Deliver records to the consumers of their topics, by default twice."""
        raw = [record if isinstance(record, RawRecord) else raw_of(record) for record in records]
        by_topic: dict[str, list[RawRecord]] = {}
        for record in raw:
            by_topic.setdefault(record.topic, []).append(record)
        for topic, batch in by_topic.items():
            for _ in range(times):
                await self.consumer(topic).take(batch)

    def consumer(self, topic: str) -> IndexingConsumer:
        made = IndexingConsumer(self.db, consumers.subscribe, topic, settings())
        return self._consumers.setdefault(topic, made)

    async def rows(self, sql: str = "SELECT * FROM event ORDER BY id", **parameters: Any) -> Sequence[Any]:
        async with self.db.transaction() as tx:
            return await tx.fetch_all(sql, **parameters)

    async def get(self, path: str, **parameters: Any) -> Any:
        answer = await self.client.get(path, params=parameters or None, headers=OPERATOR)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def running_ops(db: Database, kafka: str = "127.0.0.1:1") -> AsyncIterator[Ops]:
    """Ops answering requests in this process, without loops of its own."""
    runtime = make_runtime(service, settings(database_url=db.dsn, kafka_bootstrap_servers=kafka), ["api"])
    await runtime.db.close()
    runtime.db = db
    app = make_app(runtime)
    app.state.issuer = KnownPeople()
    async with client_of(app, "http://ops.test") as client:
        yield Ops(db, app, runtime, client)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The application behind a real HTTP server, without its lifespan; its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@dataclass
class Heard:
    """One server-sent event; `data` None where only the place was told."""

    id: int | None
    data: dict[str, Any] | None


@asynccontextmanager
async def listening(url: str, headers: dict[str, str], **parameters: Any) -> AsyncIterator[AsyncIterator[Heard]]:
    """An open stream of events."""
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", f"{url}/api/v1/events", params=parameters, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield _heard(answer)


async def _heard(answer: httpx.Response) -> AsyncIterator[Heard]:
    found: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            found[name] = value
        elif "id" in found or "data" in found:
            data = json.loads(found["data"]) if "data" in found else None
            yield Heard(int(found["id"]) if "id" in found else None, data)
            found = {}


async def next_events(heard: AsyncIterator[Heard], count: int) -> list[dict[str, Any]]:
    """The next events with content, within a deadline."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            event = await anext(heard)
            if event.data is not None:
                found.append(event.data)
    return found
