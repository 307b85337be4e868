"""A whole call: submissions, admissibility, two evaluations each, decision, announcement, every letter taken.

`releve` is the real system, five services with all their roles, driven through its interfaces (`campaign.py`); `limit`
adds up what bare clients need for the same (`whole_limit.py` says what that contains). The first run of each is a small
one, to warm up.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from benchmarks.campaign import Campaign
from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place
from benchmarks.whole import running
from benchmarks.whole_limit import limit

APPLICATIONS, WARM_UP = 2_000, 112
BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
BETWEEN = timedelta(days=10)
"""From one campaign to the next, business time: nothing of the first falls due in the second."""


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """The real system, and bare clients beside it."""
    async with limit(place) as bare, running(place, BEGAN) as whole:
        numbers, bare_numbers = itertools.count(), itertools.count()

        async def by_releve() -> Mapping[str, float]:
            number = next(numbers)
            applications = APPLICATIONS if number else WARM_UP
            return await Campaign(whole, number, applications, BEGAN + number * BETWEEN).run()

        async def barely() -> Mapping[str, float]:
            number = next(bare_numbers)
            return await bare.run(number, APPLICATIONS if number else WARM_UP)

        yield {"limit": barely, "releve": by_releve}


BENCHMARK = Benchmark(
    name="end-to-end",
    work=f"{APPLICATIONS:,} applications from the submission to the last letter",
    open=opened,
    aims=(Aim("times the limit", ("releve", "seconds"), ("limit", "seconds"), at_most=2),),
    rounds=1,
)
