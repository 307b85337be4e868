"""Owns what the topics alone say about each application: status, score, grant, outcome and letters; it reads nothing.

The status is the highest fact held, never the last to arrive (`docs/design.md` §7, States).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.events.base import ApplicationEvent
from shared.events.funding import (
    ApplicationNotSelected,
    ApplicationWaitlisted,
    ConventionSigned,
    GrantAwarded,
    GrantReleased,
    OutcomeAnnounced,
    ProjectCompleted,
    ProjectStarted,
)
from shared.events.intake import ApplicationSubmitted, ApplicationWithdrawn, GrantAccepted, GrantDeclined
from shared.events.notify import ApplicantNotified, NotificationFailed
from shared.events.review import ApplicationAdmitted, ApplicationInadmissible, Scored, ScoreVoided
from shared.history.recorded import History, Recorded

Status = Literal[
    "submitted", "admitted", "inadmissible", "scored", "not_selected", "waitlisted", "awarded", "accepted", "committed",
    "started", "completed", "declined", "lapsed", "revoked", "withdrawn",
]  # fmt: skip
HOLDING = frozenset({"awarded", "accepted", "committed", "started", "completed"})
"""The states in which an application holds money."""

RANKS: dict[type[ApplicationEvent], tuple[int, Status]] = {
    ProjectCompleted: (11, "completed"),
    ApplicationWithdrawn: (10, "withdrawn"),
    GrantDeclined: (9, "declined"),
    ProjectStarted: (8, "started"),
    ConventionSigned: (7, "committed"),
    GrantAccepted: (6, "accepted"),
    GrantAwarded: (5, "awarded"),
    ApplicationNotSelected: (4, "not_selected"),
    ApplicationWaitlisted: (3, "waitlisted"),
    ApplicationInadmissible: (2, "inadmissible"),
    ApplicationSubmitted: (0, "submitted"),
}
RELEASED, REVIEWED = 9, 1


@dataclass(frozen=True)
class Grant:
    """The money that an application holds or held; `released` says why it went back, None while it is held."""

    grant_id: str
    amount_eur: int
    requested_eur: int
    rank: int
    answer_by: datetime
    committed: bool = False
    released: str | None = None


@dataclass(frozen=True)
class Letter:
    """One letter, by its `message_id`; `sent` False if it failed for good."""

    message_id: str
    template: str
    language: str
    sent: bool
    time: datetime


@dataclass(frozen=True)
class Application:
    """What the topics say about one application. `submitted` is None where only later facts are known."""

    application_id: str
    submitted: ApplicationSubmitted | None
    status: Status
    scored: Scored | None
    """The score that stands; None before, and while it is voided."""
    grant: Grant | None
    told: str | None
    """The outcome that may be told, None while it is sealed."""
    letters: tuple[Letter, ...]
    events: tuple[Recorded, ...]

    @property
    def holds_money(self) -> bool:
        """Whether the grant is reserved or committed now."""
        return self.grant is not None and self.grant.released is None

    @property
    def is_laureate(self) -> bool:
        """Awarded, announced, and not given back (`docs/design.md` §2)."""
        return self.told == "awarded" and self.holds_money and self.status in HOLDING


def fold(history: History) -> dict[str, Application]:
    """Every application that any event names, by id."""
    by_application: dict[str, list[Recorded]] = defaultdict(list)
    for recorded in history.events:
        if isinstance(recorded.event, ApplicationEvent):
            by_application[recorded.event.application_id].append(recorded)
    return {key: fold_one(key, events) for key, events in by_application.items()}


def fold_one(application_id: str, events: Sequence[Recorded]) -> Application:
    """One application of its own events; the order across topics does not matter."""
    ordered = tuple(sorted(events, key=lambda recorded: (recorded.topic, recorded.sequence)))
    facts = [recorded.event for recorded in ordered if isinstance(recorded.event, ApplicationEvent)]
    grant = _grant(facts)
    return Application(
        application_id,
        next((fact for fact in facts if isinstance(fact, ApplicationSubmitted)), None),
        _status(facts, grant),
        _score(facts),
        grant,
        _told(facts),
        letters_of(ordered),
        ordered,
    )


def _status(facts: Sequence[ApplicationEvent], grant: Grant | None) -> Status:
    held: list[tuple[int, Status]] = [RANKS[type(fact)] for fact in facts if _counts(fact, grant)]
    latest = [fact for fact in facts if isinstance(fact, ApplicationAdmitted | Scored | ScoreVoided)]
    if latest:
        held.append((REVIEWED, "scored" if isinstance(latest[-1], Scored) else "admitted"))
    if grant is not None and grant.released is not None:
        held.append((RELEASED, _released(grant.released)))
    return max(held, default=(0, "submitted"))[1]


def _released(reason: str) -> Status:
    by_reason: dict[str, Status] = {"declined": "declined", "withdrawn": "withdrawn", "revoked": "revoked"}
    return by_reason.get(reason, "lapsed")


def _counts(fact: ApplicationEvent, grant: Grant | None) -> bool:
    """An answer counts only for the grant that funding holds, and an unanswered lapse stays a lapse."""
    if isinstance(fact, GrantAccepted | GrantDeclined):
        stands = grant is not None and fact.grant_id == grant.grant_id
        return stands and (grant is None or grant.released in {None, "declined"})
    return type(fact) in RANKS


def _grant(facts: Iterable[ApplicationEvent]) -> Grant | None:
    grant: Grant | None = None
    for fact in facts:
        if isinstance(fact, GrantAwarded):
            grant = Grant(fact.grant_id, fact.amount_eur, fact.requested_eur, fact.rank, fact.answer_by)
        elif grant is not None and isinstance(fact, ConventionSigned | GrantReleased):
            committed = grant.committed or isinstance(fact, ConventionSigned)
            released = fact.reason if isinstance(fact, GrantReleased) else grant.released
            grant = Grant(
                grant.grant_id, grant.amount_eur, grant.requested_eur, grant.rank, grant.answer_by, committed, released
            )
    return grant


def _score(facts: Iterable[ApplicationEvent]) -> Scored | None:
    standing: Scored | None = None
    for fact in facts:
        if isinstance(fact, Scored):
            standing = fact
        elif isinstance(fact, ScoreVoided):
            standing = None
    return standing


def _told(facts: Iterable[ApplicationEvent]) -> str | None:
    """The latest outcome that the applicant may know: announced, or decided after the announcement."""
    told: str | None = None
    for fact in facts:
        if isinstance(fact, OutcomeAnnounced):
            told = fact.outcome
        elif isinstance(fact, GrantAwarded | ApplicationWaitlisted | ApplicationNotSelected) and not fact.sealed:
            told = RANKS[type(fact)][1]
    return told


def letters_of(events: Iterable[Recorded]) -> tuple[Letter, ...]:
    """The letters of an application, each once by its Message-ID; one that left in the end was sent."""
    letters: dict[str, Letter] = {}
    for recorded in events:
        fact = recorded.event
        if isinstance(fact, ApplicantNotified | NotificationFailed):
            sent = isinstance(fact, ApplicantNotified)
            known = letters.get(fact.message_id)
            if known is None or (sent and not known.sent):
                letters[fact.message_id] = Letter(fact.message_id, fact.template, fact.language, sent, recorded.time)
    return tuple(letters.values())
