"""Owns the order in which an application's story is told to its applicant; it tells nothing that is sealed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from services.intake.domain.status import NAMES, OUTCOME_RANK, Fact, Kind, is_sealed, told, under_review_since

LAST = max(OUTCOME_RANK.values()) + 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline. `what` is a state, or `letter_sent` with the letter's template."""

    what: str
    at: datetime
    template: str | None = None


def timeline(submitted_at: datetime, round_closed_at: datetime | None, facts: Collection[Fact]) -> list[Entry]:
    """What happened so far, earliest first, as far as it may be told.

    What was decided under seal happened to the applicant when it was announced, and only the last of it.
    """
    ranked = [(submitted_at, -1, Entry("submitted", submitted_at))]
    begun = [at for at in (round_closed_at, under_review_since(facts)) if at is not None]
    withdrawn_at = min((fact.occurred_at for fact in facts if fact.kind is Kind.WITHDRAWN), default=None)
    if begun and (withdrawn_at is None or min(begun) <= withdrawn_at):
        ranked.append((min(begun), 0, Entry("in_review", min(begun))))
    known = told(facts)
    unsealed_at = min((fact.occurred_at for fact in facts if fact.kind is Kind.ANNOUNCED), default=submitted_at)
    decided_sealed = max(filter(is_sealed, known), key=_order, default=None)
    for fact in known:
        if not _repeats(fact, known) and (not is_sealed(fact) or fact is decided_sealed):
            at = max(fact.occurred_at, unsealed_at) if is_sealed(fact) else fact.occurred_at
            ranked.append((at, _order(fact)[0], _entry(fact, at)))
    return [entry for _, _, entry in sorted(ranked, key=lambda each: each[:2])]


def _order(fact: Fact) -> tuple[int, int]:
    return OUTCOME_RANK.get(fact.kind, LAST), fact.sequence


def _entry(fact: Fact, at: datetime) -> Entry:
    if fact.kind is Kind.NOTIFIED:
        return Entry("letter_sent", at, fact.template)
    if fact.kind is Kind.RELEASED:
        return Entry(fact.reason or "released", at)
    return Entry(NAMES.get(fact.kind, str(fact.kind)), at)


def _repeats(fact: Fact, known: Collection[Fact]) -> bool:
    """Whether a release only says again what the applicant did."""
    return fact.kind is Kind.RELEASED and any(other.kind == fact.reason for other in known)
