"""Owns the order of a round's applications and why one stands before another; it knows nothing of money."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise

NO_MEAN = Decimal(-1)
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Member:
    """A scored application of a round: what ranking and claims need of it. Scores 0 to 100, means 0 to 5."""

    application_id: str
    submitted_at: datetime
    score: Decimal
    means: Mapping[str, Decimal]
    requested_eur: int
    recommended_eur: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """The chair puts one application directly before another, and says why."""

    application_id: str
    before: str
    reason: str


@dataclass(frozen=True, slots=True)
class MoveImpossible:
    """A move that names an application which the round does not rank, or one before itself."""

    position: int
    application_id: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """A member at its rank (1, 2, 3 …). `told_apart_by`: what put it after the one before, where the score did not."""

    rank: int
    member: Member
    told_apart_by: str | None = None


def place(member: Member, tie_break: Sequence[str]) -> tuple[object, ...]:
    """What members are ordered by: score, the published tie-break, earlier submission, id (`docs/design.md` §7)."""
    means = tuple(-member.means.get(criterion, NO_MEAN) for criterion in tie_break)
    return (-member.score, *means, member.submitted_at, member.application_id)


def check_moves(members: Sequence[Member], moves: Sequence[Move]) -> list[MoveImpossible]:
    """Every move that cannot be made."""
    known = {member.application_id for member in members}
    return [
        MoveImpossible(position, named)
        for position, move in enumerate(moves)
        for named in (move.application_id, move.before)
        if named not in known or move.application_id == move.before
    ]


def rank(members: Sequence[Member], tie_break: Sequence[str], moves: Sequence[Move] = ()) -> list[Ranked]:
    """The members in order. Raises ValueError on a move that `check_moves` refuses."""
    if check_moves(members, moves):
        raise ValueError("a move names an application that is not ranked")
    ordered = sorted(members, key=lambda member: place(member, tie_break))
    for move in moves:
        at = next(i for i, member in enumerate(ordered) if member.application_id == move.application_id)
        moved = ordered.pop(at)
        before = next(i for i, member in enumerate(ordered) if member.application_id == move.before)
        ordered.insert(before, moved)
    touched = {move.application_id for move in moves}
    first = [Ranked(1, ordered[0])] if ordered else []
    return first + [
        Ranked(number, after, _told_apart_by(before, after, tie_break, touched))
        for number, (before, after) in enumerate(pairwise(ordered), start=2)
    ]


def _told_apart_by(before: Member, after: Member, tie_break: Sequence[str], moved: set[str]) -> str | None:
    if moved and (before.application_id in moved or after.application_id in moved):
        return "move"
    if before.score != after.score:
        return None
    for criterion in tie_break:
        if before.means.get(criterion, NO_MEAN) != after.means.get(criterion, NO_MEAN):
            return criterion
    return "submitted_at" if before.submitted_at != after.submitted_at else "application_id"


def weighed_again(members: Sequence[Member], weights: Mapping[str, Decimal]) -> list[Member]:
    """The members scored with other weights, for "what if": 20 × Σ(weight × mean) ÷ Σ weight, rounded once half-even.

    A member without a mean on any weighted criterion keeps its score.
    """
    return [replace(member, score=_score(member, weights)) for member in members]


def _score(member: Member, weights: Mapping[str, Decimal]) -> Decimal:
    weight = sum((weights[criterion] for criterion in member.means if criterion in weights), Decimal(0))
    if not weight:
        return member.score
    total = sum((weights[c] * mean for c, mean in member.means.items() if c in weights), Decimal(0))
    return (20 * total / weight).quantize(CENT, ROUND_HALF_EVEN)
