"""Admissibility, evaluations and declarations as rules: values in, values out."""

from datetime import date
from typing import Any

import pytest

from services.review.domain.admissibility import (
    Admitted,
    Check,
    Conditions,
    Deposit,
    Inadmissible,
    admits_by_itself,
    decide_admissibility,
    prefill,
)
from services.review.domain.conflicts import Assignment, Declared, declare, may_evaluate, waive
from services.review.domain.evaluation import Evaluation, Frame, Mark, wrong_in_draft, wrong_to_submit
from services.review.domain.refusals import Forbidden, Invalid, NotNow

MACHINES = (
    "applications_per_organisation", "kind_allowed", "amount_in_bounds", "dates_in_calendar", "theme_present",
    "declared_not_in_use",
)  # fmt: skip


def conditions(*checks: Check) -> Conditions:
    return Conditions(
        checks=checks or tuple(Check(name, name) for name in MACHINES),
        kinds={"school": False, "structure": True},
        themes=frozenset({"support"}),
        min_eur=10_000,
        max_eur=40_000,
        ends_by=date(2022, 12, 31),
        applications_per_organisation=1,
    )


def deposit(**changes: Any) -> Deposit:
    fields = {
        "kind": "school", "has_partner": False, "themes": frozenset({"support"}), "requested_eur": 10_000,
        "starts_on": date(2022, 1, 1), "ends_on": date(2022, 12, 31), "place": 1,
    }  # fmt: skip
    return Deposit(**{**fields, **changes})


def test_an_application_that_keeps_to_the_call_is_admitted_without_an_officer() -> None:
    decision = admits_by_itself(deposit(), conditions())
    assert decision == Admitted(dict.fromkeys(MACHINES, True))


@pytest.mark.parametrize(
    ("changes", "check", "result"),
    [
        ({"place": 2}, "applications_per_organisation", False),
        ({"place": None}, "applications_per_organisation", None),
        ({"kind": "bakery"}, "kind_allowed", False),
        ({"kind": "structure"}, "kind_allowed", False),
        ({"kind": "structure", "has_partner": True}, "kind_allowed", True),
        ({"requested_eur": 9_999}, "amount_in_bounds", False),
        ({"requested_eur": 40_000}, "amount_in_bounds", True),
        ({"requested_eur": 40_001}, "amount_in_bounds", False),
        ({"ends_on": date(2023, 1, 1)}, "dates_in_calendar", False),
        ({"starts_on": date(2023, 1, 1)}, "dates_in_calendar", False),
        ({"themes": frozenset({"other"})}, "theme_present", False),
    ],
)
def test_each_machine_check_looks_at_its_own_fact(changes: dict[str, Any], check: str, result: bool | None) -> None:
    results = prefill(deposit(**changes), conditions())
    assert results == {name: result if name == check else True for name in MACHINES}
    assert (admits_by_itself(deposit(**changes), conditions()) is None) == (result is not True)


def test_a_check_for_people_is_never_answered_by_the_machine() -> None:
    call = conditions(Check("public", None), Check("theme", "theme_present"))
    assert prefill(deposit(), call) == {"public": None, "theme": True}
    assert admits_by_itself(deposit(), call) is None


def test_every_check_is_answered_and_a_no_needs_a_reason() -> None:
    call = conditions(Check("public", None), Check("theme", None))
    assert decide_admissibility(call, {"theme": True, "public": True}, "") == Admitted({"public": True, "theme": True})
    refused = decide_admissibility(call, {"theme": False, "public": True}, "Hors sujet.")
    assert refused == Inadmissible({"public": True, "theme": False}, "Hors sujet.")
    wrong = decide_admissibility(call, {"theme": False, "other": True}, "")
    assert isinstance(wrong, Invalid)
    assert [each.field for each in wrong.errors] == ["checks.public", "checks.other", "reason"]


FRAME = Frame(("a", "b"), 10_000, 30_000)


def evaluation(recommended_eur: int | None = None, **marks: int | None) -> Evaluation:
    return Evaluation({n: Mark(v, "Parce que.") for n, v in marks.items()}, "", "fund", recommended_eur)


def fields(evaluation: Evaluation, *, submitted: bool = True) -> list[str]:
    rule = wrong_to_submit if submitted else wrong_in_draft
    return [each.field for each in rule(evaluation, FRAME)]


def test_a_complete_evaluation_counts_and_an_incomplete_one_may_be_kept() -> None:
    assert fields(evaluation(a=3, b=None)) == []
    assert fields(evaluation(a=3), submitted=False) == []
    assert fields(evaluation(a=3)) == ["marks.b"]


def test_an_evaluation_with_every_mark_null_is_refused() -> None:
    assert fields(evaluation(a=None, b=None), submitted=False) == ["marks"]


def test_each_mark_needs_a_reason_and_a_criterion_of_the_call() -> None:
    wrong = Evaluation({"a": Mark(3, " "), "b": Mark(None, ""), "c": Mark(1, "x")}, "", "fund", None)
    assert fields(wrong, submitted=False) == ["marks.a.reason", "marks.b.reason", "marks.c"]


@pytest.mark.parametrize(("amount", "wrong"), [(None, False), (9_999, True), (10_000, False), (30_001, True)])
def test_a_recommended_amount_lies_within_the_smallest_grant_and_the_request(amount: int | None, wrong: bool) -> None:
    assert fields(evaluation(amount, a=3, b=3)) == (["recommended_eur"] if wrong else [])


def place(state: str = "to_declare", **changes: Any) -> Assignment:
    return Assignment(1, "ana", state, **changes)  # type: ignore[arg-type]


def test_a_declaration_opens_forbids_or_waits_for_a_waiver() -> None:
    assert declare(place(), "none", "") == Declared("to_do", released=False, voids=False)
    assert declare(place(), "soft", "x") == Declared("conflict", released=False, voids=False)
    assert declare(place(), "hard", "x") == Declared("conflict", released=True, voids=False)
    assert isinstance(declare(place(), "hard", ""), Invalid)


def test_a_late_conflict_voids_and_none_is_taken_back() -> None:
    assert declare(place("done", kind="none"), "hard", "x") == Declared("conflict", released=True, voids=True)
    assert declare(place("done", kind="none"), "soft", "x") == Declared("conflict", released=False, voids=True)
    assert declare(place("conflict", kind="soft"), "hard", "x") == Declared("conflict", released=True, voids=False)
    assert isinstance(declare(place("conflict", kind="soft"), "none", ""), NotNow)
    assert isinstance(declare(place("conflict", kind="hard", released=True), "soft", "x"), NotNow)


def test_only_the_chair_waives_in_writing_and_never_their_own() -> None:
    soft = place("conflict", kind="soft")
    assert waive(soft, "chair", "Lien ancien.") == "to_do"
    assert waive(place("conflict", kind="soft", versions=2), "chair", "Lien ancien.") == "in_progress"
    assert isinstance(waive(soft, "chair", ""), Invalid)
    assert isinstance(waive(soft, "ana", "Lien ancien."), Forbidden)
    assert isinstance(waive(place("conflict", kind="hard", released=True), "chair", "x"), NotNow)
    assert isinstance(waive(None, "chair", "x"), NotNow)


@pytest.mark.parametrize(
    ("state", "may"),
    [("to_declare", False), ("to_do", True), ("in_progress", True), ("done", False), ("conflict", False)],
)
def test_marks_are_kept_after_declaring_and_until_submitting(state: str, may: bool) -> None:
    assert (may_evaluate(place(state)) is None) == may
