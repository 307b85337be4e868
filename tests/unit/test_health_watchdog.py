"""A process says what it waits for, and ends only when it gets nothing done though its dependencies answer."""

import asyncio
from collections.abc import Callable

import pytest

from shared.config import Settings
from shared.health import Health, Progress
from shared.tasks import end_tasks
from shared.watchdog import Watchdog

QUICK = Settings(watchdog_every_s=0.01, stuck_after_s=0.05, answering_for_s=0.03)


class Dependencies:
    """Stands for PostgreSQL and Kafka: answers, or does not."""

    def __init__(self, *, answer: bool) -> None:
        self.answer = answer
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        if not self.answer:
            raise ConnectionRefusedError


class Watched(Watchdog):
    async def _kafka(self) -> None:
        return


def watchdog(health: Health, dependencies: Dependencies, ended: list[bool]) -> Watchdog:
    return Watched(health, dependencies, QUICK, lambda: ended.append(True))  # type: ignore[arg-type]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("began", [False, True])
async def test_a_loop_that_gets_nothing_done_ends_its_process_and_is_named(began: bool) -> None:
    loop = Progress("relay funding", ticks=not began)
    if began:
        loop.began()
    health, ended = Health([loop]), []
    async with asyncio.timeout(10):
        await watchdog(health, Dependencies(answer=True), ended).run()
    assert ended == [True]
    assert "relay funding" in health.stuck[0]


class Slow(Dependencies):
    """Answers so late that one look takes longer than the whole time for which it must have answered."""

    def __init__(self, health: Health) -> None:
        super().__init__(answer=True)
        self._health = health
        self.named: list[bool] = []

    async def ping(self) -> None:
        self.named.append(bool(self._health.stuck))
        await asyncio.sleep(2 * QUICK.answering_for_s)


async def test_however_slow_a_look_is_what_is_stuck_is_named_before_its_process_ends() -> None:
    health, ended = Health([Progress("relay funding")]), []
    slow = Slow(health)
    async with asyncio.timeout(10):
        await watchdog(health, slow, ended).run()
    assert (ended, slow.named[-1]) == ([True], True)


async def test_a_loop_that_falls_silent_as_another_recovers_is_named_for_as_long() -> None:
    first, second = Progress("relay funding"), Progress("timer lapses")
    health, ended = Health([first, second]), []
    task = asyncio.create_task(watchdog(health, Dependencies(answer=True), ended).run())
    while not any(line.startswith("relay funding") for line in health.stuck):
        second.succeeded()
        await asyncio.sleep(0)
    named: list[str] = []
    while not ended:
        first.succeeded()
        named += health.stuck
        await asyncio.sleep(0)
    await task
    assert any(line.startswith("timer lapses") for line in named)


async def test_a_process_whose_dependency_is_away_stays() -> None:
    health, ended, away = Health([Progress("relay funding")]), [], Dependencies(answer=False)
    task = asyncio.create_task(watchdog(health, away, ended).run())
    await until(lambda: away.asked > 5)
    assert (ended, health.stuck) == ([], [])
    await end_tasks([task])


async def test_an_idle_consumer_and_a_mailer_without_its_server_are_not_stuck() -> None:
    mailer = Progress("mailer")
    health, ended = Health([Progress("consumer x", ticks=False), mailer]), []
    task = asyncio.create_task(watchdog(health, Dependencies(answer=True), ended).run())
    for _ in range(15):
        mailer.waiting("the mail server is away")
        await asyncio.sleep(0.01)
    assert ended == []
    assert health.missing() == ["mailer: the mail server is away"]
    await end_tasks([task])
