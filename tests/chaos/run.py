"""One run of chaos: stories and a crowd on a whole system while a plan strikes it, then rest, then the verdict."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.replay.clock import Steps
from cli.replay.doors import Doors
from cli.replay.script import Cast, Scene, perform
from cli.replay.story import Story
from cli.verify import Answer, gather, verify
from cli.verify.command import table
from deploy.local.launcher import Options
from deploy.local.run import down, up_detached
from deploy.local.state import StateFolder
from deploy.local.status import StatusProbe
from deploy.local.system import System
from shared.history import Finding
from shared.tasks import end_tasks
from tests.chaos.aftermath import Aftermath
from tests.chaos.crowd import Crowd
from tests.chaos.faults import Faults, environment_with
from tests.chaos.plan import plan
from tests.chaos.stories import crowd_body, crowd_call, stories_of
from tests.servers import as_processes

REST_WITHIN_S = 180.0
SCENES_PER_BURST = 15

Tell = Callable[[str], None]
SetEnv = Callable[[str, str], None]
Strike = Callable[[Faults], Coroutine[Any, Any, None]]
"""What is done to a system, from beginning to end."""


@dataclass
class Verdict:
    """What one run came to."""

    seed: int
    faults: dict[str, int]
    events: int
    answers: list[Answer]
    statuses: dict[int, int]
    found: dict[str, list[Finding]]
    wrong: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not self.wrong and not any(self.found.values())

    def lines(self) -> list[str]:
        """The table that a person reads."""
        applications = len({each.application_id for each in self.answers if each.application_id})
        counted = ", ".join(f"{name} ×{count}" for name, count in sorted(self.faults.items()))
        answered = ", ".join(f"{status} ×{count}" for status, count in sorted(self.statuses.items()))
        return [
            f"seed {self.seed}: {sum(self.faults.values())} faults, {applications} applications, {self.events} events",
            f"faults: {counted}", f"the crowd was answered: {answered}", *table(self.found),
            *(f"BROKEN  {each}" for each in self.wrong), "all holds" if self.holds else "NOT ALL HOLDS",
        ]  # fmt: skip


def chaos(seed: int, seconds: float, folder: Path, tell: Tell, setenv: SetEnv = os.environ.__setitem__) -> Verdict:
    """Strike a system of its own by the plan of a seed, and judge it."""

    async def by_plan(struck: Faults) -> None:
        started = time.monotonic()
        for fault in plan(seed, seconds):
            await asyncio.sleep(max(0.0, fault.at_s - (time.monotonic() - started)))
            tell(str(fault))
            await struck.do(fault)
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - started)))

    return judged(by_plan, seed, folder, tell, setenv)


def judged(strike: Strike, seed: int, folder: Path, tell: Tell, setenv: SetEnv = os.environ.__setitem__) -> Verdict:
    """Start a system in the folder, play on it while it is struck, and judge it at rest.

    `setenv`: how the environment of its services is set.
    """
    crashes = folder / "crashes"
    crashes.mkdir(parents=True)
    for name, value in environment_with(crashes).items():
        setenv(name, value)
    state = StateFolder.at(folder / "state")
    options = Options(simulated=True, provider=as_processes())
    system = up_detached(state, options, tell=lambda _: None, outlive=False)
    try:
        return asyncio.run(_struck(system, Faults(system, crashes), strike, seed, tell))
    finally:
        down(state, lambda _: None)


async def _struck(system: System, struck: Faults, strike: Strike, seed: int, tell: Tell) -> Verdict:
    crowd = Crowd(system, crowd_call()["id"], crowd_body(), random.Random(seed))
    answers: list[Answer] = []
    async with Doors(system) as doors, StatusProbe(system) as probe:
        await doors.staff("admin", "intake", "PUT", f"/api/v1/calls/{crowd.call_id}", crowd_call())
        started, year = time.monotonic(), 0
        striking = asyncio.ensure_future(strike(struck))
        try:
            while year == 0 or not striking.done():
                answers += await _played(system, doors, probe, stories_of(year), crowd, tell)
                year += 1
            await striking
        finally:
            await end_tasks([striking])
            await struck.undo()
        await crowd.settled()
        tell(f"{time.monotonic() - started:6.1f} s  no more faults; waiting for rest")
        await probe.wait_until_idle(REST_WITHIN_S)
        left = await Aftermath.of(system, struck.poisoned)
        await left.dismissed(doors)
        await probe.wait_until_idle(REST_WITHIN_S)
    evidence, wrong = left.set_apart(await gather(system, [*answers, *crowd.answers]))
    return Verdict(
        seed, struck.done, len(evidence.history.events), [*answers, *crowd.answers], dict(crowd.statuses),
        verify(evidence), [*crowd.wrong, *struck.overdue, *wrong],
    )  # fmt: skip


async def _played(
    system: System, doors: Doors, probe: StatusProbe, stories: list[Story], crowd: Crowd, tell: Tell
) -> list[Answer]:
    """Play stories side by side, with a burst of the crowd now and then; what their applicants were answered."""
    assert system.clock_file is not None
    steps = Steps(system.clock_file, probe, lambda _: None)
    casts = [Cast(story, doors, steps) for story in stories]
    scenes = itertools.count()

    def scene(_: Scene) -> None:
        if next(scenes) % SCENES_PER_BURST == 0:
            crowd.burst()

    tell(f"playing {', '.join(story.call.id for story in stories)}")
    await perform(casts, steps, scene)
    return [answer for cast in casts for answer in cast.applicants.answers]
