"""Owns what the files of a data folder must agree on before anything is played; the shape of each is the story's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from cli.replay.mistakes import Mistake

if TYPE_CHECKING:
    from cli.replay.story import Dossier, Story


def disagreements(story: Story) -> Iterator[Mistake]:
    """Where a file names what another has not, or dates contradict each other."""
    yield from _applications(story)
    yield from _calendar(story)
    yield from _names(story)
    yield from _marks(story)


def _applications(story: Story) -> Iterator[Mistake]:
    seen: set[str] = set()
    for position, each in enumerate(story.dossiers):
        name, place = each.dossier, ("applications", position)
        if name in seen:
            yield Mistake("applications", (*place, "dossier"), f"the dossier {name} stands twice")
        seen.add(name)
        if story.round_of(each) is None:
            yield Mistake("applications", (*place, "submitted_at"), f"{name} is deposited while no round is open")
        if each.withdraws is not None and each.withdraws.at <= each.submitted_at:
            yield Mistake("applications", (*place, "withdraws"), f"{name} is withdrawn before it is deposited")
        yield from _choices(story, position, each)


def _choices(story: Story, position: int, dossier: Dossier) -> Iterator[Mistake]:
    call = story.call
    offered = (
        ("project", "themes", "theme", {each.id for each in call.themes}),
        ("project", "publics", "public", {each.id for each in call.publics}),
        ("organisation", "kind", "kind of organisation", {each.id for each in call.kinds}),
    )
    for part, field, word, known in offered:
        named: Any = getattr(dossier, part).get(field)
        for name in _unknown([named] if isinstance(named, str) else named, known):
            place = ("applications", position, part, field)
            yield Mistake("applications", place, f"{dossier.dossier} names the {word} {name}, which the call has not")


def _unknown(named: Any, known: Collection[str]) -> Iterator[str]:
    """What else is wrong with a field of an application, its service tells."""
    for name in named if isinstance(named, Iterable) else ():
        if isinstance(name, str) and name not in known:
            yield name


def _calendar(story: Story) -> Iterator[Mistake]:
    rounds = {each.id for each in story.call.rounds}
    for position, act in enumerate(story.acts):
        if act.round is not None and act.round not in rounds:
            said = f"the calendar names the round {act.round}, which the call has not"
            yield Mistake("calendar", ("acts", position, "round"), said)


def _names(story: Story) -> Iterator[Mistake]:
    dossiers = {each.dossier for each in story.dossiers}
    checks = {each.id for each in story.call.admissibility}
    parts = (
        ("instruction", "inadmissible", story.inadmissible),
        ("instruction", "conflicts", story.conflicts),
        ("marks", "evaluations", story.opinions),
    )
    for file, part, named in parts:
        for name in _unknown(named, dossiers):
            yield Mistake(file, (part, name), f"applications.yaml has no dossier {name}")
    for name, refusal in story.inadmissible.items():
        for check in _unknown(refusal.fails, checks):
            said = f"{name} fails the check {check}, which the call has not"
            yield Mistake("instruction", ("inadmissible", name, "fails"), said)


def _marks(story: Story) -> Iterator[Mistake]:
    criteria = {each.id for each in story.call.rubric.criteria}
    for dossier, opinions in story.opinions.items():
        for slot, opinion in opinions.items():
            for name in _unknown(opinion.marks, criteria):
                place = ("evaluations", dossier, slot, "marks", name)
                yield Mistake("marks", place, f"the call has no criterion named {name}")
