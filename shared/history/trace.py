"""Owns the story of one application over every topic, in causal order, and what it waits for; it reads nothing."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.events.base import ApplicationEvent
from shared.events.call import Call
from shared.events.funding import RoundAnnounced, RoundDecided
from shared.events.intake import ApplicationSubmitted, RoundClosed
from shared.events.ops import EventQuarantined, QuarantineLifted
from shared.history.dead_letters import dead_letters
from shared.history.fold import Application, fold_one
from shared.history.recorded import History, Recorded
from shared.history.tellings import Calls
from shared.history.waiting import Case, Gap, gaps, spoken


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the story. `after` is the business time since its cause, or since the step before it."""

    recorded: Recorded
    after: timedelta | None
    caused_by: str | None
    """The `event_id` of the step that caused it; None if the cause lies outside the story (a request, a timer)."""

    @property
    def spoken(self) -> str:
        """`after` for people: `+ 2 h`; empty at the first step and where no time passed."""
        return f"+ {spoken(self.after)}" if self.after is not None and self.after >= timedelta(seconds=1) else ""


@dataclass(frozen=True)
class Trace:
    """The story of one application as it stands at `now` (business time)."""

    application: Application
    steps: tuple[Step, ...]
    gaps: tuple[Gap, ...]
    now: datetime

    @property
    def reference(self) -> str:
        """The human reference, or the id where no submission is recorded."""
        submitted = self.application.submitted
        return submitted.reference if submitted else self.application.application_id


def find(history: History, named: str) -> str | None:
    """The id of the application with that id or reference; None if no event knows it."""
    wanted = named.strip()
    for _, submitted in history.all(ApplicationSubmitted):
        if wanted.casefold() in {submitted.application_id, submitted.reference.casefold()}:
            return submitted.application_id
    known = {r.key for r in history.events if isinstance(r.event, ApplicationEvent)}
    return wanted.lower() if wanted.lower() in known else None


def trace(history: History, application_id: str, now: datetime) -> Trace | None:
    """The story of an application; None if no event is about it."""
    own = [
        recorded
        for recorded in history.events
        if isinstance(recorded.event, ApplicationEvent) and recorded.event.application_id == application_id
    ]
    if not own:
        return None
    application = fold_one(application_id, own)
    of_round = _of_its_round(history, application)
    aside = [
        recorded
        for recorded, _ in (*history.all(EventQuarantined), *history.all(QuarantineLifted))
        if recorded.key == application_id
    ]
    story = causal_order([*own, *of_round, *aside])
    dead = tuple(letter for letter in dead_letters(aside) if letter.ended is None)
    case = Case(application, _call(history, application, now), tuple(of_round), dead, now)
    return Trace(application, tuple(_steps(story)), tuple(gaps(case)), now)


def _of_its_round(history: History, application: Application) -> list[Recorded]:
    if application.submitted is None:
        return []
    found = []
    for event_type in (RoundClosed, RoundDecided, RoundAnnounced):
        for recorded, fact in history.all(event_type):
            if (fact.call_id, fact.round_id) == (application.submitted.call_id, application.submitted.round_id):
                found.append(recorded)
    return found


def _call(history: History, application: Application, now: datetime) -> Call | None:
    return Calls(history).at(application.submitted.call_id, now) if application.submitted else None


def causal_order(events: Iterable[Recorded]) -> list[Recorded]:
    """Causes before effects, a key's events in their sequence, a round's act before what it is for its members.

    Else by business time, then as recorded.
    """
    by_id = {recorded.event_id: recorded for recorded in events}
    follows: dict[str, list[str]] = defaultdict(list)
    waits: Counter[str] = Counter()
    for before, after in _edges(by_id):
        follows[before].append(after)
        waits[after] += 1
    ready = [(_when(by_id[event_id]), event_id) for event_id in by_id if not waits[event_id]]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, event_id = heapq.heappop(ready)
        ordered.append(by_id.pop(event_id))
        for after in follows[event_id]:
            waits[after] -= 1
            if not waits[after]:
                heapq.heappush(ready, (_when(by_id[after]), after))
    # Causes that name each other in a circle are somebody's mistake: shown all the same.
    return [*ordered, *sorted(by_id.values(), key=_when)]


def _edges(by_id: dict[str, Recorded]) -> Iterable[tuple[str, str]]:
    previous: dict[tuple[str, str], str] = {}
    for recorded in sorted(by_id.values(), key=lambda each: (each.topic, each.key, each.sequence, each.offset)):
        place = (recorded.topic, recorded.key)
        if place in previous:
            yield previous[place], recorded.event_id
        previous[place] = recorded.event_id
        if recorded.causation_id in by_id and recorded.causation_id != recorded.event_id:
            yield recorded.causation_id, recorded.event_id
    yield from _said_together(by_id.values())


def _said_together(events: Iterable[Recorded]) -> Iterable[tuple[str, str]]:
    """One transaction tells of a round and of its members: how the broker times these records is chance."""
    of_rounds: dict[tuple[str, str, datetime], list[str]] = defaultdict(list)
    of_members: dict[tuple[str, str, datetime], list[str]] = defaultdict(list)
    for recorded in events:
        told = of_members if isinstance(recorded.event, ApplicationEvent) else of_rounds
        told[recorded.emitter, recorded.causation_id, recorded.time].append(recorded.event_id)
    for act, members in of_members.items():
        yield from ((of_round, member) for of_round in of_rounds[act] for member in members)


def _when(recorded: Recorded) -> tuple[datetime, datetime, str, int]:
    return (recorded.time, recorded.recorded_at, recorded.topic, recorded.offset)


def _steps(story: Sequence[Recorded]) -> Iterable[Step]:
    by_id = {recorded.event_id: recorded for recorded in story}
    before: Recorded | None = None
    for recorded in story:
        cause = by_id.get(recorded.causation_id)
        since = cause or before
        yield Step(recorded, recorded.time - since.time if since else None, cause.event_id if cause else None)
        before = recorded
