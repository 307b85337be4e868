"""The score: exact, rounded once, from the evaluations that count."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.review.domain.scoring import (
    Awaits,
    Opinion,
    Rubric,
    Score,
    ToArbitrate,
    judge,
    lower_median,
    own_score,
)

ONE = Rubric({"a": Decimal(1)}, 2, Decimal(20))
TWO = Rubric({"a": Decimal(60), "b": Decimal(40)}, 2, Decimal(20))


def opinion(slot: int, *marks: int | None, eur: int | None = None) -> Opinion:
    return Opinion(slot, dict(zip("abcdef", marks, strict=False)), eur)


def scored(rubric: Rubric, *opinions: Opinion, chair: Opinion | None = None) -> Score:
    verdict = judge(rubric, opinions, chair)
    assert isinstance(verdict, Score)
    return verdict


def test_the_mean_of_each_criterion_is_weighted_and_five_is_a_hundred() -> None:
    score = scored(TWO, opinion(1, 4, 3), opinion(2, 5, 3))
    assert score.score == Decimal("78.00")  # 20 × (60 × 4.5 + 40 × 3) ÷ 100
    assert (score.basis, score.evaluations, score.spread) == ("agreed", 2, Decimal("12.00"))
    assert dict(score.criteria) == {"a": Decimal("4.5"), "b": Decimal(3)}


def test_not_applicable_leaves_the_denominator_and_is_never_zero() -> None:
    assert scored(TWO, opinion(1, 4, None), opinion(2, 4, None)).score == Decimal("80.00")
    score = scored(TWO, opinion(1, 4, None), opinion(2, 4, 5))
    assert dict(score.criteria) == {"a": Decimal(4), "b": Decimal(5)}
    assert score.score == Decimal("88.00")


@pytest.mark.parametrize(
    ("weights", "marks", "score"),
    [
        # 20 × (w × 1) ÷ (w + rest): exactly half-way between two hundredths, to the even one.
        (("1", "799"), (1, 0), "0.02"),  # 0.025
        (("3", "797"), (1, 0), "0.08"),  # 0.075
        (("1", "2"), (1, 0), "6.67"),
        (("1", "2"), (2, 0), "13.33"),
        (("0.005", "3.995"), (1, 0), "0.02"),  # 0.025
    ],
)
def test_the_score_is_rounded_once_half_even(weights: tuple[str, str], marks: tuple[int, int], score: str) -> None:
    rubric = Rubric({"a": Decimal(weights[0]), "b": Decimal(weights[1])}, 1, Decimal(100))
    assert str(scored(rubric, opinion(1, *marks)).score) == score


def test_thirds_do_not_drift_before_the_rounding() -> None:
    rubric = Rubric({"a": Decimal(1), "b": Decimal(1), "c": Decimal(1)}, 3, Decimal(100))
    # Each mean is a third without end; their sum is not.
    assert scored(rubric, opinion(1, 5, 5, 5), opinion(2, 0, 0, 0), opinion(3, 0, 0, 0)).score == Decimal("33.33")
    assert scored(rubric, opinion(1, 1, 0, 0), opinion(2, 0, 1, 0), opinion(3, 0, 0, 1)).score == Decimal("6.67")


def test_too_few_evaluations_wait_and_a_wide_spread_asks_for_one_more() -> None:
    assert judge(ONE, [], None) == Awaits(2)
    assert judge(ONE, [opinion(1, 4)], None) == Awaits(2)
    assert judge(ONE, [opinion(1, 5), opinion(2, 3)], None) == Awaits(3)
    assert scored(ONE, opinion(1, 4), opinion(2, 3)).basis == "agreed"  # a spread of exactly max_spread


def test_the_closest_evaluations_count_after_a_further_one() -> None:
    score = scored(ONE, opinion(1, 5, eur=30_000), opinion(2, 2, eur=10_000), opinion(3, 4))
    assert (score.basis, score.score, score.evaluations) == ("further", Decimal("90.00"), 2)
    assert score.recommended_eur == 30_000


def test_equally_close_groups_all_count() -> None:
    score = scored(ONE, opinion(1, 5), opinion(2, 3), opinion(3, 4))
    assert (score.basis, score.score, score.evaluations, score.spread) == (
        "further", Decimal("80.00"), 3, Decimal("40.00"),
    )  # fmt: skip


def test_the_arbiters_marks_replace_the_means_where_opinions_stay_apart() -> None:
    apart = [opinion(1, 5), opinion(2, 1), opinion(3, 3)]
    assert judge(ONE, apart, None) == ToArbitrate()
    score = scored(ONE, *apart, chair=opinion(0, 2, eur=12_000))
    assert (score.basis, score.score, score.recommended_eur) == ("arbitrated", Decimal("40.00"), 12_000)
    assert (score.evaluations, score.spread) == (3, Decimal("80.00"))


@pytest.mark.parametrize(("amounts", "median"), [([], None), ([3], 3), ([4, 1], 1), ([9, 1, 5], 5), ([1, 2, 3, 4], 2)])
def test_the_recommended_amount_is_the_lower_median(amounts: list[int], median: int | None) -> None:
    assert lower_median(amounts) == median


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4))
def test_a_score_lies_between_zero_and_a_hundred_and_does_not_depend_on_order(pairs: list[tuple[int, int]]) -> None:
    opinions = [opinion(slot, *pair) for slot, pair in enumerate(pairs, start=1)]
    verdict = judge(TWO, opinions, None)
    assert type(judge(TWO, opinions[::-1], None)) is type(verdict)
    if isinstance(verdict, Score):
        assert 0 <= verdict.score <= 100
        assert verdict.score.as_tuple().exponent == -2
        assert scored(TWO, *opinions[::-1]).score == verdict.score
    assert all(0 <= own_score(TWO, each) <= 100 for each in opinions)
