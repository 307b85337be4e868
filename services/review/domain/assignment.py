"""Owns who evaluates what: the plan of a round and each later pick, evenly and never into a conflict.

Pure functions of applications, reviewers, conflicts and loads (`docs/design.md` §7, Instruct); they know no state.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

SIREN_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Reviewer:
    """One listed reviewer. `organisations` are the SIREN that the person belongs to."""

    subject: str
    organisations: frozenset[str] = frozenset()
    themes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Task:
    """An application that lacks `places` reviewers.

    `sirens` are its organisation's and its partner's; `barred` are the subjects who declared a conflict or already have
    a place.
    """

    application_id: str
    submitted_at: datetime
    sirens: frozenset[str]
    places: int
    themes: frozenset[str] = frozenset()
    barred: frozenset[str] = frozenset()


def sirens_of(siret: str, partner_siret: str | None) -> frozenset[str]:
    """The SIREN (first nine digits) of the organisation and of its partner."""
    return frozenset(number[:SIREN_DIGITS] for number in (siret, partner_siret) if number)


def may_take(reviewer: Reviewer, task: Task) -> bool:
    """Whether nothing keeps the reviewer from the application: own organisation, declared conflict, a place already."""
    return reviewer.subject not in task.barred and reviewer.organisations.isdisjoint(task.sirens)


def pick(task: Task, reviewers: Iterable[Reviewer], loads: Mapping[str, int]) -> str | None:
    """The least-loaded reviewer who may take it, then by subject; None if nobody may. Used after planning."""
    free = [each.subject for each in reviewers if may_take(each, task)]
    return min(free, key=lambda subject: (loads.get(subject, 0), subject), default=None)


def plan(tasks: Iterable[Task], reviewers: Iterable[Reviewer], loads: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Who takes each application, in assignment order; shorter than its places where too few may.

    Each place goes to the least-loaded, then to who knows more of its themes, then by subject; then places move along
    chains from the most to the least loaded while that evens the loads: where conflicts allow it they differ by at
    most one, and no other assignment is more even. `loads` are the places that each already has in the round.
    """
    ordered = sorted(tasks, key=lambda task: (task.submitted_at, task.application_id))
    people = sorted(reviewers, key=lambda reviewer: reviewer.subject)
    draft = _Draft(ordered, people, loads)
    draft.fill()
    draft.even_out()
    return {task.application_id: tuple(taken) for task, taken in zip(ordered, draft.taken, strict=True)}


class _Draft:
    """A plan in the making: `taken[i]` are the subjects of the i-th application in assignment order."""

    def __init__(self, tasks: Sequence[Task], people: Sequence[Reviewer], loads: Mapping[str, int]) -> None:
        self._tasks = tasks
        self._eligible = [[each for each in people if may_take(each, task)] for task in tasks]
        self.loads = {each.subject: loads.get(each.subject, 0) for each in people}
        self.taken: list[list[str]] = [[] for _ in tasks]

    def fill(self) -> None:
        """Fill application after application."""
        for task, eligible, taken in zip(self._tasks, self._eligible, self.taken, strict=True):
            for _ in range(min(task.places, len(eligible))):
                chosen = min(
                    (each for each in eligible if each.subject not in taken),
                    key=lambda each: (self.loads[each.subject], -len(each.themes & task.themes), each.subject),
                )
                taken.append(chosen.subject)
                self.loads[chosen.subject] += 1

    def even_out(self) -> None:
        """Move places along chains as long as one leads from a reviewer to one who has at least two fewer.

        When no such chain is left, no assignment is more even (optimal semi-matchings: Harvey, Ladner, Lovász, Tamir,
        Journal of Algorithms 59, 2006).
        """
        held: dict[str, list[int]] = {}
        for index, taken in enumerate(self.taken):
            for subject in taken:
                held.setdefault(subject, []).append(index)
        while max(self.loads.values(), default=0) - min(self.loads.values(), default=0) > 1:
            for start in sorted(self.loads, key=lambda subject: (-self.loads[subject], subject)):
                chain = self._chain_from(start, held)
                if chain:
                    break
            else:
                return
            for index, giver, receiver in chain:
                self.taken[index][self.taken[index].index(giver)] = receiver
                held[giver].remove(index)
                insort(held.setdefault(receiver, []), index)
            self.loads[start] -= 1
            self.loads[chain[-1][2]] += 1

    def _chain_from(self, start: str, held: Mapping[str, Sequence[int]]) -> list[tuple[int, str, str]]:
        """The shortest chain of moves (application, giver, receiver) to somebody with at least two fewer places.

        `held` are the applications of each, in order.
        """
        came_by: dict[str, tuple[int, str] | None] = {start: None}
        queue = deque([start])
        while queue:
            giver = queue.popleft()
            for index in held.get(giver, []):
                for receiver in (each.subject for each in self._eligible[index]):
                    if receiver in came_by or receiver in self.taken[index]:
                        continue
                    came_by[receiver] = (index, giver)
                    if self.loads[receiver] <= self.loads[start] - 2:
                        return _walk_back(came_by, receiver)
                    queue.append(receiver)
        return []


def _walk_back(came_by: Mapping[str, tuple[int, str] | None], end: str) -> list[tuple[int, str, str]]:
    chain, receiver = [], end
    while (step := came_by[receiver]) is not None:
        index, giver = step
        chain.append((index, giver, receiver))
        receiver = giver
    return chain[::-1]
