"""Owns the order of a replay: every act of its stories at its instant, after the one before has settled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from cli.replay.applicants import Applicants
from cli.replay.clock import Steps
from cli.replay.committee import Committee
from cli.replay.doors import Doors
from cli.replay.officers import Officers
from cli.replay.story import Act, Story


@dataclass(frozen=True)
class Scene:
    """Something that somebody does at an instant. `name` is shown while it runs."""

    at: datetime
    name: str
    play: Callable[[], Awaitable[None]]


class Cast:
    """Everybody who acts in one story."""

    def __init__(self, story: Story, doors: Doors, steps: Steps) -> None:
        self.story = story
        self.applicants = Applicants(story, doors)
        self.committee = Committee(story, doors, self.applicants, steps.settle)
        self.officers = Officers(story, doors, self.applicants)

    def scenes(self) -> Iterator[Scene]:
        """Every scene of the story, in no order but the folder's."""
        for dossier in self.story.dossiers:
            yield Scene(dossier.submitted_at, "submit", lambda each=dossier: self.applicants.submit(each))  # type: ignore[misc]
            if dossier.withdraws is not None:
                yield Scene(dossier.withdraws.at, "withdraw", lambda each=dossier: self.applicants.withdraw(each))  # type: ignore[misc]
        for act in self.story.acts:
            yield Scene(act.at, act.act, lambda each=act: self._play(each))  # type: ignore[misc]

    async def _play(self, act: Act) -> None:
        committee, officers = self.committee, self.officers
        plays: dict[str, Callable[[Act], Awaitable[None]]] = {
            "publish": officers.publish, "reviewers": committee.list_reviewers,
            "check": officers.check, "refuse": officers.refuse, "declare": committee.declare, "waive": committee.waive,
            "evaluate": committee.evaluate, "arbitrate": committee.arbitrate, "decide": officers.decide,
            "accept": self._accept, "decline": self._decline,
            "sign": officers.follow, "start": officers.follow, "complete": officers.follow,
        }  # fmt: skip
        await plays[act.act](act)

    async def _accept(self, act: Act) -> None:
        await self.applicants.accept(self.story.members(act.round or ""))

    async def _decline(self, act: Act) -> None:
        await self.applicants.decline(self.story.members(act.round or ""))


async def perform(casts: Iterable[Cast], steps: Steps, watch: Callable[[Scene], None]) -> None:
    """Play every scene at its instant, then settle at the end of the last story.

    Scenes of one instant run one after the other, in the folders' order: what is deposited first is numbered first.
    Past scenes are played again, which changes nothing, and the clock stays. Raises Refused, NotIdle, FolderBroken.
    """
    casts = list(casts)
    scenes = sorted((scene for cast in casts for scene in cast.scenes()), key=lambda scene: scene.at)
    await steps.settle()
    for instant, group in groupby(scenes, key=lambda scene: scene.at):
        await steps.move_to(instant)
        for scene in group:
            watch(scene)
            await scene.play()
    await steps.move_to(max(cast.story.ends_at for cast in casts))
    await steps.settle()
