"""Every service dies at every place that it comes to, while calls are played: nothing is lost, nothing done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from shared.crashpoints import arm
from shared.events.topics import SERVICES
from tests.chaos.faults import Faults
from tests.chaos.plan import PLACES_OF
from tests.chaos.run import Verdict, judged

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]

WITHIN_S = 600.0
RARE_FIRST = ("funding.", "timers.", "mail.")
"""Places that a story comes to only now and then are ordered before those that every event passes."""
ALL = [(service, place) for service in SERVICES for place in PLACES_OF[service]]


def orders_of(service: str) -> list[str]:
    return sorted(PLACES_OF[service], key=lambda place: not place.startswith(RARE_FIRST))


async def each_dies_everywhere(struck: Faults) -> None:
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        for service in SERVICES:
            group.create_task(_dies(struck, service, orders_of(service)))


async def _dies(struck: Faults, service: str, places: Sequence[str]) -> None:
    for place in places:
        arm(struck.crashes, service, place)  # type: ignore[arg-type]
        while (struck.crashes / service).exists():
            await asyncio.sleep(0.05)
        struck.done[f"{service} {place}"] = 1


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdict]:
    with pytest.MonkeyPatch.context() as patch:
        yield judged(each_dies_everywhere, 1, tmp_path_factory.mktemp("crashes"), print, patch.setenv)


@pytest.mark.parametrize(("service", "place"), ALL)
def test_a_service_died_there(verdict: Verdict, service: str, place: str) -> None:
    assert f"{service} {place}" in verdict.faults


def test_nothing_was_lost_and_nothing_done_twice(verdict: Verdict) -> None:
    assert verdict.holds, "\n".join(verdict.lines())
