"""The clock of a replay: forwards only, by way of every timer."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.replay.clock import Steps
from cli.replay.engine import CannotReplay, check_way
from cli.replay.story import Story, read_files
from deploy.local.status import NotIdle
from shared.clock import read_clock, write_clock
from tests.builders_history import DATA


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


@pytest.fixture(scope="module")
def story() -> Story:
    return Story.of(read_files(DATA / "short-money"))


async def test_a_later_call_is_not_begun_while_others_have_deadlines_before_it(clock_file: Path, story: Story) -> None:
    steps, reached = steps_of(clock_file, SettledSystem(clock_file, [at(3)]))
    with pytest.raises(CannotReplay, match=r"the first on 3 August 2021, .*\(1 August 2021\).*--beside"):
        await check_way(story, steps)
    assert (reached, read_clock(clock_file)) == ([], at(1))


async def test_calls_that_overlap_and_an_empty_system_are_no_obstacle(clock_file: Path, story: Story) -> None:
    for timers in ([], [story.starts_at], [story.ends_at]):
        steps, _ = steps_of(clock_file, SettledSystem(clock_file, timers))
        await check_way(story, steps)


async def test_a_call_that_was_begun_here_may_be_replayed_whatever_waits(clock_file: Path, story: Story) -> None:
    write_clock(clock_file, story.ends_at)
    system = SettledSystem(clock_file, [story.ends_at.replace(year=2030)])
    await check_way(story, steps_of(clock_file, system)[0])
    assert system.waited_at == []
