"""Owns what statements cost in buffers: the server explains each to the session that ran it; it measures no time."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import event

from benchmarks.place import Place
from shared.db import Database
from tests.databases import Addresses

# EXPLAIN (ANALYZE, BUFFERS) of every statement, those of triggers too, as a notice to its own session.
EXPLAINED = {
    "session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on", "auto_explain.log_buffers": "on", "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on", "auto_explain.log_format": "json", "auto_explain.log_level": "notice",
}  # fmt: skip
FEW = 4
"""Blocks of one look-up: two levels of a tree, a row, and its newer version."""


@dataclass
class Costs:
    """Blocks of the cache that each statement touched, found there or read, for each of its runs; by its text."""

    runs: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def note(self, _: object, notice: Any) -> None:
        """Take a notice of the server in, if it explains something."""
        head, explains, plan = notice.message.partition("plan:\n")
        if explains and head.startswith("duration"):
            told = json.loads(plan)
            touched = told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"]
            self.runs[" ".join(told["Query Text"].split())].append(touched)

    def of_each(self) -> Mapping[str, float]:
        """The blocks of one run of each statement, on average."""
        return {statement: sum(runs) / len(runs) for statement, runs in self.runs.items()}


@asynccontextmanager
async def explained(place: Place, service: str, addresses: Addresses) -> AsyncIterator[tuple[Database, Costs]]:
    """A service's database, one connection to it, each of whose statements is explained."""
    name, role = urlsplit(addresses.runtime).path[1:], urlsplit(addresses.runtime).username
    admin, costs = await asyncpg.connect(place.servers.postgres.url("postgres")), Costs()
    for setting, value in EXPLAINED.items():
        await admin.execute(f'ALTER ROLE "{role}" IN DATABASE "{name}" SET {setting} = \'{value}\'')
    db = Database(addresses.runtime, service, pool_size=1)

    def listen(connection: Any, _: object) -> None:
        connection.driver_connection.add_log_listener(costs.note)

    event.listen(db._engine.sync_engine, "connect", listen)  # noqa: SLF001 - the product has no use for notices
    try:
        await db.ping()
        await admin.execute(f'ALTER ROLE "{role}" IN DATABASE "{name}" RESET ALL')
        costs.runs.clear()
        yield db, costs
        await asyncio.sleep(0.1)  # notices are handed over by the loop
    finally:
        await db.close()
        await admin.close()


def growth(small: Mapping[str, float], large: Mapping[str, float]) -> dict[str, float]:
    """How many times more blocks each statement touched, worst first; a statement that one side lacks is as infinity.

    Up to `FEW` blocks count as `FEW` on both sides: a tree gets a level higher, which is no scan.
    """
    grown = {
        statement: max(large[statement], FEW) / max(small[statement], FEW)
        if statement in small and statement in large
        else float("inf")
        for statement in {*small, *large}
    }
    return dict(sorted(grown.items(), key=lambda each: -each[1]))
