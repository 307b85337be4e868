"""A whole call: submissions, admissibility, two evaluations each, decision, announcement, every letter taken."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from benchmarks.campaign import Campaign
from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place
from benchmarks.whole import running

APPLICATIONS, WARM_UP = 300, 50
BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
BETWEEN = timedelta(days=10)
"""From one campaign to the next, business time: nothing of the first falls due in the second."""


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """The real system."""
    async with running(place, BEGAN) as whole:
        numbers = itertools.count()

        async def by_releve() -> Mapping[str, float]:
            number = next(numbers)
            applications = APPLICATIONS if number else WARM_UP
            return await Campaign(whole, number, applications, BEGAN + number * BETWEEN).run()

        yield {"releve": by_releve}


BENCHMARK = Benchmark(
    name="end-to-end",
    work=f"{APPLICATIONS:,} applications from the submission to the last letter",
    open=opened,
    aims=(Aim("times the limit", ("releve", "seconds"), ("releve", "seconds"), at_most=2),),
    rounds=1,
)
