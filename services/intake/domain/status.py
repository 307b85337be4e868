"""Owns what the facts about one application amount to: its state, and what of it may be told; it stores nothing.

Status is the highest fact held, never the last to arrive, so that every order of arrival gives the same
(`docs/design.md` §7, States). What is sealed is shown as in review at every door (§7, Tell).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Kind(StrEnum):
    """What a fact says. The values are stored."""

    ADMITTED = "admitted"
    INADMISSIBLE = "inadmissible"
    SCORED = "scored"
    SCORE_VOIDED = "score_voided"
    AWARDED = "awarded"
    WAITLISTED = "waitlisted"
    NOT_SELECTED = "not_selected"
    CONVENTION_SIGNED = "convention_signed"
    STARTED = "started"
    COMPLETED = "completed"
    RELEASED = "released"
    ANNOUNCED = "announced"
    NOTIFIED = "notified"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


OWN = frozenset({Kind.ACCEPTED, Kind.DECLINED, Kind.WITHDRAWN})
"""What the applicant did: never sealed."""
REVIEWED = frozenset({Kind.ADMITTED, Kind.SCORED, Kind.SCORE_VOIDED})
"""What review found on the way: never told to the applicant."""

OUTCOME_RANK = {
    Kind.INADMISSIBLE: 2,
    Kind.WAITLISTED: 3,
    Kind.NOT_SELECTED: 4,
    Kind.AWARDED: 5,
    Kind.ACCEPTED: 6,
    Kind.CONVENTION_SIGNED: 7,
    Kind.STARTED: 8,
    Kind.DECLINED: 9,
    Kind.RELEASED: 10,
    Kind.WITHDRAWN: 11,
    Kind.COMPLETED: 12,
}
"""Higher wins. Released stands over declined: whichever funding committed first is what happened."""

NAMES = {Kind.CONVENTION_SIGNED: "committed", Kind.SCORE_VOIDED: "admitted"}
"""States that are not called as the fact that enters them."""
REVIEW_RANK = 1
LAUREATES = frozenset({"awarded", "accepted", "committed", "started", "completed"})
"""States in which an application holds a grant."""
LapsedStep = Literal["answer", "convention", "start"]
RECEIPTS = frozenset({"receipt", "withdrawn"})
"""Letters that tell nothing of an outcome."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact about one application. `sequence` is the `ce_sequence` of its event, 0 for the applicant's own acts.

    The fields after `sealed` are null where the kind has no such thing; money in whole euros.
    """

    kind: Kind
    sequence: int
    occurred_at: datetime
    sealed: bool = False
    grant_id: str | None = None
    amount_eur: int | None = None
    answer_by: datetime | None = None
    reason: str | None = None
    template: str | None = None


def state(facts: Iterable[Fact]) -> str:
    """The state of an application, whether or not it may be told."""
    ranked = [(_rank(fact), fact.sequence, fact) for fact in facts if _rank(fact)]
    if not ranked:
        return "submitted"
    highest = max(ranked, key=lambda each: each[:2])[2]
    if highest.kind is Kind.RELEASED:
        return highest.reason or "released"
    return NAMES.get(highest.kind, str(highest.kind))


def _rank(fact: Fact) -> int:
    return REVIEW_RANK if fact.kind in REVIEWED else OUTCOME_RANK.get(fact.kind, 0)


def announced(facts: Collection[Fact]) -> bool:
    """Whether funding unsealed this application's outcome."""
    return any(fact.kind is Kind.ANNOUNCED for fact in facts)


def told(facts: Collection[Fact]) -> list[Fact]:
    """The facts that the applicant and the public may know, in no particular order."""
    unsealed = announced(facts)
    may_be_told = [fact for fact in facts if _is_outcome_told(fact, unsealed=unsealed)]
    outcome_known = any(fact.kind not in OWN for fact in may_be_told)
    letters = (f for f in facts if f.kind is Kind.NOTIFIED and (outcome_known or f.template in RECEIPTS))
    return [*may_be_told, *letters]


def _is_outcome_told(fact: Fact, *, unsealed: bool) -> bool:
    if fact.kind in OWN:
        return True
    if fact.kind not in OUTCOME_RANK:
        return False
    return unsealed or not is_sealed(fact)


def is_sealed(fact: Fact) -> bool:
    """Whether a fact waits for the announcement. Review knows no seal: its refusal always waits for funding's word."""
    return fact.sealed or fact.kind is Kind.INADMISSIBLE


def shown_state(facts: Collection[Fact], *, round_closed: bool) -> str:
    """The state that the applicant sees: in review from the first look or the closing until an outcome is told."""
    known = state(told(facts))
    if known != "submitted":
        return known
    return "in_review" if round_closed or under_review_since(facts) else "submitted"


def under_review_since(facts: Iterable[Fact]) -> datetime | None:
    """When review first said anything. Admitted or not looks the same."""
    looked = (f.occurred_at for f in facts if f.kind in REVIEWED or f.kind is Kind.INADMISSIBLE)
    return min(looked, default=None)


def grant(facts: Iterable[Fact]) -> Fact | None:
    """The award among facts, or None."""
    awards = [fact for fact in facts if fact.kind is Kind.AWARDED]
    return max(awards, key=lambda fact: fact.sequence, default=None)


def answer_by(facts: Collection[Fact]) -> datetime | None:
    """Until when the grant that was told could be answered, or None."""
    award = grant(told(facts))
    return award.answer_by if award is not None else None


def lapsed_step(facts: Collection[Fact]) -> LapsedStep:
    """What did not come in its time before a grant lapsed, as far as the facts that may be told say."""
    kinds = {fact.kind for fact in told(facts)}
    if Kind.CONVENTION_SIGNED in kinds:
        return "start"
    return "convention" if Kind.ACCEPTED in kinds else "answer"


def laureate_amount_eur(facts: Collection[Fact]) -> int | None:
    """The grant in whole euros if the application is a laureate in public, else None."""
    known = told(facts)
    award = grant(known)
    return award.amount_eur if award is not None and state(known) in LAUREATES else None
