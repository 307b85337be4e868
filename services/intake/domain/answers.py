"""Owns what an applicant may still do: withdraw the application, accept or decline its grant; it stores nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.intake.domain.status import Fact, Kind, grant, state, told

Answer = Literal[Kind.ACCEPTED, Kind.DECLINED]

TOO_LATE_TO_WITHDRAW = frozenset(
    {"committed", "started", "completed", "inadmissible", "not_selected", "declined", "lapsed", "revoked"}
)
"""From the convention on, or after an announced end. Only what was told counts, so that a refusal never leaks."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The command is taken: the fact to store, or the one stored before if `again`."""

    fact: Fact
    again: bool = False


@dataclass(frozen=True, slots=True)
class NotPossible:
    """The application's state does not allow the command."""


def decide_withdrawal(facts: Collection[Fact], reason: str, now: datetime) -> Taken | NotPossible:
    """Withdraw, get the first answer again, or hear that it is too late (`docs/design.md` §7, States)."""
    earlier = _own(facts, Kind.WITHDRAWN)
    if earlier is not None:
        return Taken(earlier, again=True)
    if state(told(facts)) in TOO_LATE_TO_WITHDRAW:
        return NotPossible()
    return Taken(Fact(Kind.WITHDRAWN, 0, now, reason=reason))


def decide_answer(facts: Collection[Fact], answer: Answer, now: datetime) -> Taken | NotPossible:
    """Answer an offer while it stands: told, awarded, and not after its last instant."""
    earlier = _own(facts, answer)
    if earlier is not None:
        return Taken(earlier, again=True)
    if not offer_stands(facts, now):
        return NotPossible()
    award = grant(told(facts))
    return Taken(Fact(answer, 0, now, grant_id=award.grant_id if award else None))


def offer_stands(facts: Collection[Fact], now: datetime) -> bool:
    """Whether the applicant may accept or decline at `now`."""
    known = told(facts)
    award = grant(known)
    return state(known) == "awarded" and award is not None and award.answer_by is not None and now <= award.answer_by


def may_withdraw(facts: Collection[Fact]) -> bool:
    """Whether a withdrawal would be taken as a new one."""
    return state(told(facts)) not in {*TOO_LATE_TO_WITHDRAW, "withdrawn"}


def _own(facts: Collection[Fact], kind: Kind) -> Fact | None:
    return next((fact for fact in facts if fact.kind is kind), None)
