"""Owns the life of a grant: awarded → accepted → committed → started → completed, or released; it moves no money."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

GrantState = Literal[
    "awarded", "accepted", "committed", "started", "completed", "declined", "withdrawn", "lapsed", "revoked"
]
ReleaseReason = Literal["declined", "withdrawn", "lapsed", "revoked"]
Account = Literal["reserved", "committed"]

RESERVED: frozenset[GrantState] = frozenset({"awarded", "accepted"})
COMMITTED: frozenset[GrantState] = frozenset({"committed", "started"})

RELEASED_FROM: dict[ReleaseReason, frozenset[GrantState]] = {
    "declined": frozenset({"awarded"}),
    "lapsed": frozenset({"awarded", "accepted", "committed"}),
    "revoked": frozenset({"accepted", "committed", "started"}),
    "withdrawn": RESERVED | COMMITTED,
}
"""`docs/design.md` §7, States: from which states money comes back, and why."""


def held_in(state: GrantState) -> Account | None:
    """The account that holds a grant's money, or None where nothing can be released any more."""
    if state in RESERVED:
        return "reserved"
    return "committed" if state in COMMITTED else None


def may_release(state: GrantState, reason: ReleaseReason) -> bool:
    """Whether a grant in that state gives its money back for that reason."""
    return state in RELEASED_FROM[reason]


@dataclass(frozen=True, slots=True)
class Milestones:
    """What is recorded of a grant: the days of convention, start and end, and why it was revoked."""

    state: GrantState
    signed_on: date | None = None
    started_on: date | None = None
    completed_on: date | None = None
    revoke_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The step may be recorded now."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The step was recorded before, with equal content: the same answer again."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The grant's state does not allow the step."""

    state: GrantState
    why: str


@dataclass(frozen=True, slots=True)
class DateRefused:
    """The step's date cannot be."""

    why: str


Answer = Done | Repeated | Conflict | DateRefused


def sign(held: Milestones, signed_on: date, today: date) -> Answer:
    """Record the convention: only of an accepted grant, dated today or before."""
    if held.signed_on is not None:
        return Repeated() if held.signed_on == signed_on else _other(held, held.signed_on)
    if held.state != "accepted":
        return Conflict(held.state, "A convention is signed once the applicant has accepted.")
    return _past(signed_on, today)


def start(held: Milestones, started_on: date, today: date, latest: date) -> Answer:
    """Record the start: only of a committed grant, between the signature and `latest`."""
    if held.started_on is not None:
        return Repeated() if held.started_on == started_on else _other(held, held.started_on)
    if held.state != "committed" or held.signed_on is None:
        return Conflict(held.state, "A project starts once its convention is signed.")
    if started_on < held.signed_on:
        return DateRefused(f"The project cannot start before the convention of {held.signed_on}.")
    if started_on > latest:
        return DateRefused(f"The project had to start by {latest}.")
    return _past(started_on, today)


def complete(held: Milestones, completed_on: date, today: date, latest: date) -> Answer:
    """Record the end: only of a started project, between its start and the call's last day."""
    if held.completed_on is not None:
        return Repeated() if held.completed_on == completed_on else _other(held, held.completed_on)
    if held.state != "started" or held.started_on is None:
        return Conflict(held.state, "A project is completed once it was started.")
    if completed_on < held.started_on:
        return DateRefused(f"The project cannot end before its start on {held.started_on}.")
    if completed_on > latest:
        return DateRefused(f"The project had to end by {latest}.")
    return _past(completed_on, today)


def revoke(held: Milestones, reason: str) -> Answer:
    """Take a grant back, from the applicant's acceptance to the project's end, for a written reason."""
    if held.state == "revoked":
        return Repeated() if held.revoke_reason == reason else Conflict("revoked", "It was revoked for another reason.")
    if not may_release(held.state, "revoked"):
        return Conflict(held.state, "Only an accepted, committed or started grant can be revoked.")
    return Done()


def _past(day: date, today: date) -> Answer:
    return Done() if day <= today else DateRefused("The date lies in the future.")


def _other(held: Milestones, recorded: date) -> Conflict:
    return Conflict(held.state, f"It was recorded before, with the date {recorded}.")
