"""Owns one replay on one system, from the first act to the final documents; whoever calls it shows the progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cli.replay.clock import Steps
from cli.replay.document import Document, document_of
from cli.replay.doors import Doors, Refused
from cli.replay.script import Cast, Scene, perform
from cli.replay.story import Story
from deploy.local.status import StatusProbe
from deploy.local.system import System
from shared.events.call import Call


class CannotReplay(Exception):
    """The system is not one that this story can be replayed on; the message is one sentence."""


@dataclass(frozen=True)
class Watcher:
    """What a caller is told on the way: each scene before it is played, each instant that the clock reaches, the end.

    `checks` comes when all is played and what the system keeps is held side by side.
    """

    scene: Callable[[Scene], None] = field(default=lambda _: None)
    instant: Callable[[datetime], None] = field(default=lambda _: None)
    checks: Callable[[], None] = field(default=lambda: None)


async def replay(
    system: System, stories: Sequence[Story], watcher: Watcher, *, beside: bool = False
) -> dict[str, Document]:
    """Play the stories side by side; the final document of each, by call id.

    `beside`: go on although deadlines of what is on the system already pass on the way to the beginning.
    Raises CannotReplay, Refused, NotIdle, FolderBroken, KafkaError, NoToken.
    """
    if system.clock_file is None:
        raise CannotReplay(
            "This system runs on the real clock: start one with `releve up --simulated` and replay there."
        )
    async with Doors(system) as doors, StatusProbe(system) as probe:
        steps = Steps(system.clock_file, probe, watcher.instant)
        for story in stories:
            await _check_start(story, doors, steps.now)
        if not beside:
            await check_way(min(stories, key=lambda story: story.starts_at), steps)
        casts = [Cast(story, doors, steps) for story in stories]
        await perform(casts, steps, watcher.scene)
        watcher.checks()
        answers = [answer for cast in casts for answer in cast.applicants.answers]
        return await document_of(system, doors, [story.call.id for story in stories], answers)


async def _check_start(story: Story, doors: Doors, now: datetime) -> None:
    """A story may begin before the clock only if it is the one that was begun here."""
    if now <= story.starts_at:
        return
    try:
        published: Any = await doors.call("intake", "GET", f"/api/v1/calls/{story.call.id}")
    except Refused as refused:
        if refused.code != "call_unknown":
            raise
    else:
        document = {name: value for name, value in published.items() if name in Call.model_fields}
        if Call.model_validate(document) == story.call:
            return
    raise CannotReplay(
        f"{story.call.id} begins on {_day(story.starts_at)}, before this system's clock ({_day(now)}),"
        " and was not published here with equal content: use a fresh state folder."
    )


async def check_way(story: Story, steps: Steps) -> None:
    """Nobody else's deadlines lie between the clock and the first act: going there would let them all pass.

    Afterwards the stories' own calls have deadlines too; then two calls overlap, and both are played.
    """
    now, starts_at = steps.now, story.starts_at
    timer = await steps.settle() if now < starts_at else None
    if timer is not None and timer < starts_at:
        raise CannotReplay(
            f"{story.call.id} begins on {_day(starts_at)}. What is on this system already has deadlines before that,"
            f" the first on {_day(timer)}, and the clock they share ({_day(now)}) would pass them: rounds would close"
            " and offers lapse. Use a fresh state folder, or let them pass with --beside."
        )


def _day(at: datetime) -> str:
    return f"{at.day} {at:%B %Y}"
