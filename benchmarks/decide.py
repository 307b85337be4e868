"""A decision: 100,000 scored applications of one round are ranked, and the grant of each is reserved."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from benchmarks.baselines.decide_limit import decide_in_sql
from benchmarks.measure import Aim, Benchmark, Ceiling, Contender
from benchmarks.place import Place, emptied
from benchmarks.rounds import copied, decidable_call, fill_funding
from tests.databases import Addresses
from tests.open_call import ROUND_ID

APPLICATIONS, PLAIN = 100_000, 1_000
"""Applications of one run."""
PEAK_MB = 500
LEFT = """
SELECT (SELECT count(*) FROM award WHERE state = 'awarded') AS awards, (SELECT count(*) FROM outbox) - 1 AS events,
    (SELECT count(*) FROM ledger_entry WHERE kind = 'reserve') AS entries,
    (SELECT max(number) FROM ledger_entry) - 1 AS last_entry,
    (SELECT sum(amount_eur) FROM award) - (SELECT reserved_eur FROM balance) AS unaccounted_eur
"""


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """A ready round, copied for each run of the product and of the limit, and an empty database for the plain way."""
    ready, empty = await place.databases.addresses("funding"), await place.databases.addresses("funding")
    await fill_funding(ready, decidable_call(), APPLICATIONS)
    await emptied(empty)

    async def in_sql() -> Mapping[str, float]:
        async with copied(place, "funding", ready) as addresses:
            return _per_application(await decide_in_sql(addresses.runtime, ROUND_ID), APPLICATIONS)

    async def by_releve() -> Mapping[str, float]:
        async with copied(place, "funding", ready) as addresses:
            command = ("-m", "benchmarks.deciding", "--url", addresses.runtime, "--round", ROUND_ID)
            figures = _per_application(await _told_by(*command), APPLICATIONS)
            await _check(addresses)
            return figures

    async def plainly() -> Mapping[str, float]:
        driven = empty.owner.replace("postgresql://", "postgresql+asyncpg://")
        environment = {"PLAIN_DATABASE_URL": driven, "PLAIN_APPLICATIONS": str(PLAIN)}
        return _per_application(await _told_by("-m", "benchmarks.baselines.decide_plain", **environment), PLAIN)

    yield {"limit": in_sql, "plain": plainly, "releve": by_releve}


def _per_application(figures: Mapping[str, float], applications: int) -> Mapping[str, float]:
    return {**figures, "us_each": figures["seconds"] / applications * 1e6}


async def _told_by(*command: str, **environment: str) -> Mapping[str, float]:
    """Run a Python process to its end; the figures that it tells."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=os.environ | environment, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await running.communicate()
    if running.returncode:
        raise RuntimeError(f"{command} ended with {running.returncode}")
    told: Mapping[str, float] = json.loads(said)
    return told


async def _check(addresses: Addresses) -> None:
    """Raise AssertionError unless every application holds money, by an entry of its own, and is told of."""
    connection = await asyncpg.connect(addresses.owner)
    left: Mapping[str, Any] = dict(await connection.fetchrow(LEFT))
    await connection.close()
    each = dict.fromkeys(("awards", "events", "entries", "last_entry"), APPLICATIONS)
    assert left == {**each, "events": APPLICATIONS + 1, "unaccounted_eur": 0}, left


BENCHMARK = Benchmark(
    name="decide",
    work=f"rank and reserve {APPLICATIONS:,} scored applications in one round",
    open=opened,
    aims=(
        Aim("times the limit's time", ("releve", "seconds"), ("limit", "seconds"), at_most=4),
        Aim("times quicker than the plain way, each", ("plain", "us_each"), ("releve", "us_each"), at_least=10),
    ),
    ceilings=(Ceiling("peak memory, MB", ("releve", "peak_mb"), PEAK_MB),),
    rounds=2,
)
