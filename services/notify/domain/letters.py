"""Owns which letter a fact calls for, what it needs before it can be written, and what it explains; it sends nothing.

The rules are `docs/design.md` §7 (Tell, Follow) and §8.4: an outcome is told on its announcement, or at once where it
was decided after it, and never while it is sealed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal
from zoneinfo import ZoneInfo

OUTCOMES = ("awarded", "waitlisted", "not_selected", "inadmissible")
RELEASES = ("declined", "lapsed", "revoked")
TEMPLATES = ("receipt", *OUTCOMES, "withdrawn", *RELEASES, "sign_in")
"""Every letter that Relevé writes. An outcome's letter has the outcome's name."""

APPLICATION_NEEDS = frozenset({"contact", "application", "call"})
NEEDS: Mapping[str, frozenset[str]] = {
    "receipt": APPLICATION_NEEDS,
    "awarded": APPLICATION_NEEDS | {"outcome", "score"},
    "waitlisted": APPLICATION_NEEDS | {"outcome"},
    "not_selected": APPLICATION_NEEDS | {"outcome", "score"},
    "inadmissible": APPLICATION_NEEDS | {"outcome"},
    "withdrawn": APPLICATION_NEEDS,
    **dict.fromkeys(RELEASES, APPLICATION_NEEDS),
    "sign_in": frozenset({"contact"}),
}
"""What each letter cannot be written without."""


def letter_of_outcome(outcome: str, *, sealed: bool) -> str | None:
    """The letter that an outcome calls for at once; none while it is sealed: its announcement will."""
    return None if sealed else outcome


def letter_of_release(reason: str, *, sealed: bool) -> str | None:
    """The letter that a released grant calls for; a withdrawal was acknowledged already, a sealed one says nothing."""
    return reason if reason in RELEASES and not sealed else None


def missing(template: str, held: Iterable[str]) -> list[str]:
    """What a letter still waits for, in alphabetical order."""
    return sorted(NEEDS[template] - set(held))


def why_less(requested_eur: int, recommended_eur: int | None, amount_eur: int, min_eur: int) -> str | None:
    """Why a grant is lower than what was asked for: `recommended`, `money_left`, or None if it is not lower.

    The claim is the committee's recommendation, else the request, within [min_eur, requested_eur] (§7, Decide).
    """
    if amount_eur >= requested_eur:
        return None
    wanted = requested_eur if recommended_eur is None else recommended_eur
    claim_eur = max(min(wanted, requested_eur), min(min_eur, requested_eur))
    return "recommended" if amount_eur >= claim_eur else "money_left"


@dataclass(frozen=True)
class Mark:
    """What the committee found on one criterion: the mean of its marks (0 to 5) and what that mark means."""

    criterion: str
    mean: Decimal
    meaning: str | None


def feedback(
    criteria: Sequence[tuple[str, str, Mapping[int, str]]], means: Mapping[str, Decimal]
) -> tuple[list[Mark], list[str]]:
    """The marks in the rubric's order, and the criteria that did not apply. `criteria`: id, text, anchors."""
    marks, not_applicable = [], []
    for criterion_id, text, anchors in criteria:
        mean, label = means.get(criterion_id), text.removesuffix(".")  # a mark follows a criterion that is a sentence
        if mean is None:
            not_applicable.append(label)
        else:
            nearest = int(mean.to_integral_value(ROUND_HALF_EVEN))
            marks.append(Mark(label, mean, anchors.get(nearest)))
    return marks, not_applicable


def list_ends_on(
    round_id: str,
    rounds: Sequence[tuple[str, datetime, datetime | None]],
    project_ends_by: date,
    zone: ZoneInfo,
) -> date:
    """The day on which a round's waiting list ends. `rounds`: id, announce_at, list_ends_at, in order (§7, Decide)."""
    ids = [each[0] for each in rounds]
    at = ids.index(round_id) if round_id in ids else len(ids)
    if at < len(ids):
        given = rounds[at][2]
        if given is not None:
            return given.astimezone(zone).date()
        if at + 1 < len(rounds):
            return rounds[at + 1][1].astimezone(zone).date()
    return project_ends_by


def link_minutes(asked_at: datetime, expires_at: datetime) -> int:
    """For how many whole minutes a sign-in link holds, at least one."""
    return max(1, int((expires_at - asked_at).total_seconds() // 60))


End = Literal["sent", "refused_for_good", "erased"]
"""How a letter can end."""
