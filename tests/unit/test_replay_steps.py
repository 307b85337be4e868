"""The clock of a replay: forwards only, by way of every timer."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.replay.clock import Steps
from deploy.local.status import NotIdle
from shared.clock import read_clock, write_clock


def at(day: int) -> datetime:
    return datetime(2021, 8, day, tzinfo=UTC)


class SettledSystem:
    """A system with nothing left to do but timers; it keeps the instants at which it was waited for."""

    def __init__(self, clock_file: Path, timers: list[datetime]) -> None:
        self._clock_file, self._timers = clock_file, timers
        self.waited_at: list[datetime] = []

    async def wait_until_idle(self, deadline_s: float) -> datetime | None:
        now = read_clock(self._clock_file)
        self.waited_at.append(now)
        return next((timer for timer in self._timers if timer > now), None)


@pytest.fixture
def clock_file(tmp_path: Path) -> Path:
    path = tmp_path / "now"
    write_clock(path, at(1))
    return path


def steps_of(clock_file: Path, system: SettledSystem) -> tuple[Steps, list[datetime]]:
    reached: list[datetime] = []
    return Steps(clock_file, system, reached.append), reached


async def test_the_clock_stops_at_every_timer_on_its_way(clock_file: Path) -> None:
    system = SettledSystem(clock_file, [at(3), at(5), at(9)])
    steps, reached = steps_of(clock_file, system)
    await steps.move_to(at(7))
    assert reached == [at(3), at(5), at(7)]
    assert system.waited_at == [at(1), at(3), at(5)]
    assert read_clock(clock_file) == at(7)


async def test_an_act_of_the_past_leaves_the_clock(clock_file: Path) -> None:
    system = SettledSystem(clock_file, [])
    steps, reached = steps_of(clock_file, system)
    write_clock(clock_file, at(8))
    await steps.move_to(at(7))
    assert (reached, system.waited_at, read_clock(clock_file)) == ([], [], at(8))


async def test_a_timer_that_is_due_and_does_not_run_ends_the_replay(clock_file: Path) -> None:
    class Stuck(SettledSystem):
        async def wait_until_idle(self, deadline_s: float) -> datetime | None:
            return at(1)

    steps, _ = steps_of(clock_file, Stuck(clock_file, []))
    with pytest.raises(NotIdle, match="did not run"):
        await steps.move_to(at(2))
