"""Owns the score: which evaluations count, and the formula (`docs/design.md` §7, Instruct; `formula_version` 1).

Everything is reckoned exactly and rounded once; a mark that is "not applicable" leaves the denominator, it is never 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from typing import Literal

FORMULA_VERSION = 1
POINTS_PER_MARK = 20
"""A mark of 5 is 100 points."""
CENT = Decimal("0.01")
MEAN_STEP = Decimal("1e-10")
"""Means are told to ten decimals, enough to reckon a score again with other weights."""


@dataclass(frozen=True, slots=True)
class Rubric:
    """How a call scores: `weights` by criterion; `max_spread` in points of 100."""

    weights: Mapping[str, Decimal]
    reviewers_per_application: int
    max_spread: Decimal


@dataclass(frozen=True, slots=True)
class Opinion:
    """Marks of 0 to 5 by criterion, None for "not applicable", at least one of them given; euros or None."""

    slot: int
    marks: Mapping[str, int | None]
    recommended_eur: int | None


@dataclass(frozen=True, slots=True)
class Score:
    """A final score of 0 to 100 and what it rests on. `criteria` has the mean of each criterion that has one."""

    score: Decimal
    basis: Literal["agreed", "further", "arbitrated"]
    criteria: Mapping[str, Decimal]
    evaluations: int
    spread: Decimal
    recommended_eur: int | None


@dataclass(frozen=True, slots=True)
class Awaits:
    """No score yet: `wanted` evaluations have to be in."""

    wanted: int


@dataclass(frozen=True, slots=True)
class ToArbitrate:
    """The opinions stay apart: the chair's marks are needed."""


def judge(rubric: Rubric, opinions: Sequence[Opinion], arbitration: Opinion | None) -> Score | Awaits | ToArbitrate:
    """What submitted evaluations come to, the chair's arbitration included where they stay apart."""
    wanted = rubric.reviewers_per_application
    if len(opinions) < wanted:
        return Awaits(wanted)
    if len(opinions) == wanted:
        if _spread(rubric, opinions) <= Fraction(rubric.max_spread):
            return _score(rubric, "agreed", opinions, opinions)
        return Awaits(wanted + 1)
    closest = _closest(rubric, opinions)
    if closest:
        return _score(rubric, "further", closest, closest)
    if arbitration is None:
        return ToArbitrate()
    return _score(rubric, "arbitrated", [arbitration], opinions)


def own_score(rubric: Rubric, opinion: Opinion) -> Decimal:
    """One evaluation's own score, two decimals: for people to see."""
    return _rounded(_weighted(rubric, _means(rubric, [opinion])), CENT)


def _closest(rubric: Rubric, opinions: Sequence[Opinion]) -> list[Opinion]:
    """The opinions of the closest groups, in slot order; none if even those are too far apart."""
    groups = list(combinations(opinions, rubric.reviewers_per_application))
    spreads = [_spread(rubric, group) for group in groups]
    least = min(spreads)
    if least > Fraction(rubric.max_spread):
        return []
    counting = {each.slot for group, spread in zip(groups, spreads, strict=True) if spread == least for each in group}
    return [each for each in opinions if each.slot in counting]


def _score(
    rubric: Rubric,
    basis: Literal["agreed", "further", "arbitrated"],
    marking: Sequence[Opinion],
    evaluations: Sequence[Opinion],
) -> Score:
    """`marking` gives the means and the amount; `evaluations` are those that the spread is told of."""
    means = _means(rubric, marking)
    return Score(
        score=_rounded(_weighted(rubric, means), CENT),
        basis=basis,
        criteria={name: _rounded(mean, MEAN_STEP).normalize() for name, mean in means.items()},
        evaluations=len(evaluations),
        spread=_rounded(_spread(rubric, evaluations), CENT),
        recommended_eur=lower_median(each.recommended_eur for each in marking if each.recommended_eur is not None),
    )


def lower_median(amounts: Iterable[int]) -> int | None:
    """The middle amount, the lower of two; None of none."""
    ordered = sorted(amounts)
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def _means(rubric: Rubric, opinions: Sequence[Opinion]) -> dict[str, Fraction]:
    means = {}
    for criterion in rubric.weights:
        marks = [mark for each in opinions if (mark := each.marks.get(criterion)) is not None]
        if marks:
            means[criterion] = Fraction(sum(marks), len(marks))
    return means


def _weighted(rubric: Rubric, means: Mapping[str, Fraction]) -> Fraction:
    """20 × Σ(weight × mean) ÷ Σ weight over the criteria that have a mean, exactly."""
    weights = {name: Fraction(rubric.weights[name]) for name in means}
    weighted = sum((weights[name] * mean for name, mean in means.items()), start=Fraction(0))
    return POINTS_PER_MARK * weighted / sum(weights.values(), start=Fraction(0))


def _spread(rubric: Rubric, opinions: Sequence[Opinion]) -> Fraction:
    scores = [_weighted(rubric, _means(rubric, [each])) for each in opinions]
    return max(scores) - min(scores)


def _rounded(exact: Fraction, step: Decimal) -> Decimal:
    """The one rounding, half-even."""
    # On the exact value: a quotient that was cut to so many digits may seem to lie half-way, or not to.
    return Decimal(round(exact / Fraction(step))) * step  # `round` of a fraction is half-even
