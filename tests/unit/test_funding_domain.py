"""Funding's rules as pure functions: order, claims, policies, deadlines, the life of a grant."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.funding.domain import deadlines, grants
from services.funding.domain.envelope import (
    AccountBelowZero,
    Claim,
    Envelope,
    EnvelopeChange,
    Reserved,
    Short,
    allocate,
    change_total,
    reserve,
)
from services.funding.domain.grants import Conflict, DateRefused, Done, Milestones, Repeated
from services.funding.domain.proposal import (
    Inputs,
    Terms,
    claim_eur,
    inputs_document,
    outcome_document,
    propose,
    read_inputs,
)
from services.funding.domain.ranking import Member, Move, MoveImpossible, check_moves, rank, weighed_again
from services.funding.domain.readiness import RoundCount, RoundOrder, is_ready, undecided_before, waits_for
from services.funding.store.proposals import canonical

AT = datetime(2030, 1, 7, 8, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
TERMS = Terms(1, Decimal(60), ("inclusion", "relevance"), "stop", 10_000)


def member(name: str, score: str = "80", **changes: Any) -> Member:
    means = {"inclusion": Decimal(4), "relevance": Decimal(4)}
    return replace(Member(name, AT, Decimal(score), means, 30_000), **changes)


def names(members: list[Member], moves: tuple[Move, ...] = ()) -> str:
    return "".join(each.member.application_id for each in rank(members, TERMS.tie_break, moves))


def test_the_higher_score_stands_first() -> None:
    assert names([member("a", "70"), member("b", "70.01"), member("c", "9")]) == "bac"


def test_ties_are_broken_by_the_published_criteria_then_by_time_then_by_id() -> None:
    later = AT + timedelta(seconds=1)
    ranked = rank(
        [
            member("e", submitted_at=later),
            member("d"),
            member("c"),
            member("b", means={"inclusion": Decimal(4), "relevance": Decimal(5)}),
            member("a", means={"inclusion": Decimal(5), "relevance": Decimal(0)}),
            member("f", means={"relevance": Decimal(5)}),
        ],
        TERMS.tie_break,
    )
    assert [each.member.application_id for each in ranked] == list("abcdef")
    assert [each.told_apart_by for each in ranked] == [
        None, "inclusion", "relevance", "application_id", "submitted_at", "inclusion",
    ]  # fmt: skip


def test_a_move_puts_one_application_directly_before_another_and_is_explained() -> None:
    members = [member("a", "90"), member("b", "80"), member("c", "70")]
    assert names(members, (Move("c", "a", "why"),)) == "cab"
    assert names(members, (Move("c", "a", "why"), Move("b", "c", "why"))) == "bca"
    assert [each.told_apart_by for each in rank(members, (), [Move("c", "b", "why")])] == [None, "move", "move"]


def test_a_move_that_names_nobody_or_itself_is_refused() -> None:
    members = [member("a"), member("b")]
    assert check_moves(members, [Move("a", "z", "why")]) == [MoveImpossible(0, "z")]
    assert check_moves(members, [Move("a", "b", "why"), Move("a", "a", "why")])[0].position == 1
    with pytest.raises(ValueError, match="not ranked"):
        rank(members, (), [Move("z", "a", "why")])


def test_a_move_does_not_lift_anybody_over_the_pass_mark() -> None:
    inputs = Inputs("c", "r", TERMS, Envelope(100_000), [member("a"), member("b", "59.99")], [Move("b", "a", "why")])
    assert [(line.application_id, line.outcome) for line in propose(inputs).lines] == [
        ("b", "not_selected"), ("a", "awarded"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("requested", "recommended", "claimed"),
    [(30_000, None, 30_000), (30_000, 20_000, 20_000), (30_000, 35_000, 30_000), (30_000, 1, 10_000)],
)
def test_a_claim_is_what_was_recommended_within_its_bounds(
    requested: int, recommended: int | None, claimed: int
) -> None:
    assert claim_eur(requested, recommended, 10_000) == claimed


CLAIMS = [Claim("a", 40), Claim("b", 30), Claim("c", 20), Claim("d", 10)]
POLICIES = [
    ("stop", 100, {"a": 40, "b": 30, "c": 20, "d": 10}),
    ("stop", 60, {"a": 40}),
    ("stop", 39, {}),
    ("skip", 60, {"a": 40, "c": 20}),
    ("skip", 55, {"a": 40, "d": 10}),
    ("reduce", 60, {"a": 40, "b": 20}),
    ("reduce", 49, {"a": 40}),
    ("reduce", 95, {"a": 40, "b": 30, "c": 20}),
    ("reduce", 39, {"a": 39}),
]


@pytest.mark.parametrize(("shortfall", "available", "served"), POLICIES)
def test_a_short_envelope_follows_the_calls_policy(shortfall: Any, available: int, served: dict[str, int]) -> None:
    _, answers = allocate(Envelope(available), CLAIMS, shortfall, 10)
    assert {a.application_id: a.amount_eur for a in answers if isinstance(a, Reserved)} == served
    assert [a.application_id for a in answers] == list("abcd")


def test_a_frozen_envelope_reserves_nothing() -> None:
    frozen = Envelope(100, frozen=True)
    assert reserve(frozen, Claim("a", 10)) == (frozen, Short("a", 0, "envelope_frozen"))
    after, answers = allocate(frozen, CLAIMS, "reduce", 10)
    assert after == frozen
    assert {a.reason for a in answers if isinstance(a, Short)} == {"envelope_frozen"}


def test_a_claim_that_is_short_says_by_how_much() -> None:
    assert reserve(Envelope(25), Claim("a", 40))[1] == Short("a", 15)


def test_no_account_can_be_below_zero() -> None:
    with pytest.raises(AccountBelowZero):
        Envelope(10).with_reserved(11)


@pytest.mark.parametrize(("wanted", "change"), [(150, (50, 0)), (100, (0, 0)), (70, (-30, 0)), (50, (-40, 10))])
def test_a_reduction_takes_at_most_what_is_available(wanted: int, change: tuple[int, int]) -> None:
    assert change_total(Envelope(40, 60), wanted) == EnvelopeChange(*change)


members_drawn = st.lists(
    st.builds(
        Member,
        st.integers(0, 10**6).map(str),
        st.integers(0, 5).map(lambda s: AT + timedelta(seconds=s)),
        st.integers(50, 70).map(Decimal),
        st.fixed_dictionaries({"inclusion": st.integers(0, 5).map(Decimal)}),
        st.integers(10_000, 40_000),
        st.none() | st.integers(1, 60_000),
    ),
    max_size=30,
    unique_by=lambda each: each.application_id,
)
policies = st.sampled_from(["stop", "skip", "reduce"])


@given(members_drawn, st.integers(0, 400_000), policies, st.randoms())
def test_a_proposal_never_exceeds_the_envelope_and_does_not_depend_on_the_order_of_its_members(
    members: list[Member], available: int, shortfall: Any, random: Any
) -> None:
    inputs = Inputs("c", "r", replace(TERMS, shortfall=shortfall), Envelope(available), members)
    proposal = propose(inputs)
    assert proposal.awarded_eur + proposal.envelope.available_eur == available
    assert all(10_000 <= line.awarded_eur <= line.claim_eur for line in proposal.lines if line.awarded_eur)
    assert [line.rank for line in proposal.lines] == list(range(1, len(members) + 1))
    shuffled = list(members)
    random.shuffle(shuffled)
    assert outcome_document(propose(replace(inputs, members=shuffled))) == outcome_document(proposal)
    assert canonical(inputs_document(replace(inputs, members=shuffled))) == canonical(inputs_document(inputs))


@given(members_drawn, st.integers(0, 400_000), policies)
def test_anybody_can_compute_a_decision_again_from_its_inputs(
    members: list[Member], available: int, shortfall: Any
) -> None:
    inputs = Inputs("c", "r", replace(TERMS, shortfall=shortfall), Envelope(available, 7), members)
    again = read_inputs(inputs_document(inputs))
    assert outcome_document(propose(again)) == outcome_document(propose(inputs))


@given(st.lists(st.integers(10, 40), max_size=20), st.integers(0, 300), policies)
def test_after_a_walk_of_the_list_nothing_more_fits(claims: list[int], available: int, shortfall: Any) -> None:
    waiting = [Claim(str(number), amount) for number, amount in enumerate(claims)]
    after, answers = allocate(Envelope(available), waiting, shortfall, 10)
    served = {a.application_id for a in answers if isinstance(a, Reserved)}
    left = [claim for claim in waiting if claim.application_id not in served]
    again, second = allocate(after, left, shortfall, 10)
    assert again == after
    assert not any(isinstance(a, Reserved) for a in second)


def test_other_weights_give_other_scores_rounded_half_even() -> None:
    before = member("a", "80", means={"inclusion": Decimal(5), "relevance": Decimal("2.5")})
    (after,) = weighed_again([before], {"inclusion": Decimal(3), "relevance": Decimal(1)})
    assert after.score == Decimal("87.50")
    (third,) = weighed_again([before], {"inclusion": Decimal(2), "relevance": Decimal(1)})
    assert third.score == Decimal("83.33")
    assert weighed_again([before], {"other": Decimal(1)}) == [before]


def test_days_end_at_the_last_second_of_the_calls_zone() -> None:
    announced = datetime(2030, 3, 1, 23, 30, tzinfo=UTC)  # 2 March in Paris
    due = deadlines.answer_by(announced, AT, 30, PARIS)
    assert due == datetime(2030, 4, 1, 21, 59, 59, tzinfo=UTC)
    assert deadlines.lapses_at(due, PARIS) == datetime(2030, 4, 2, 21, 59, 59, tzinfo=UTC)
    assert deadlines.answer_by(AT, announced, 30, PARIS) == due


@pytest.mark.parametrize(
    ("signed_on", "latest"),
    [
        (date(2030, 1, 15), date(2030, 4, 15)),
        (date(2030, 11, 30), date(2031, 2, 28)),
        (date(2031, 9, 30), date(2031, 12, 30)),
    ],
)
def test_a_project_starts_within_so_many_calendar_months(signed_on: date, latest: date) -> None:
    assert deadlines.local_day(deadlines.start_by(signed_on, 3, PARIS), PARIS) == latest


def test_a_waiting_list_ends_as_given_else_at_the_next_announcement_else_with_the_projects() -> None:
    ends = date(2031, 12, 31)
    assert deadlines.list_ends_at(AT, None, ends, PARIS) == AT
    assert deadlines.list_ends_at(None, AT, ends, PARIS) == AT
    assert deadlines.list_ends_at(None, None, ends, PARIS) == datetime(2031, 12, 31, 22, 59, 59, tzinfo=UTC)


DAY = date(2030, 5, 2)
ACCEPTED = Milestones("accepted")
SIGNED = Milestones("committed", signed_on=DAY)
STARTED = Milestones("started", signed_on=DAY, started_on=DAY)
LATEST = date(2030, 8, 2)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (grants.sign(ACCEPTED, DAY, DAY), Done),
        (grants.sign(Milestones("awarded"), DAY, DAY), Conflict),
        (grants.sign(ACCEPTED, DAY + timedelta(days=1), DAY), DateRefused),
        (grants.sign(STARTED, DAY, DAY), Repeated),
        (grants.sign(SIGNED, DAY - timedelta(days=1), DAY), Conflict),
        (grants.start(SIGNED, DAY, DAY, LATEST), Done),
        (grants.start(ACCEPTED, DAY, DAY, LATEST), Conflict),
        (grants.start(SIGNED, DAY - timedelta(days=1), DAY, LATEST), DateRefused),
        (grants.start(SIGNED, LATEST + timedelta(days=1), LATEST + timedelta(days=9), LATEST), DateRefused),
        (grants.start(STARTED, DAY, DAY, LATEST), Repeated),
        (grants.complete(STARTED, DAY, DAY, LATEST), Done),
        (grants.complete(SIGNED, DAY, DAY, LATEST), Conflict),
        (grants.complete(STARTED, LATEST + timedelta(days=1), LATEST + timedelta(days=1), LATEST), DateRefused),
        (grants.complete(replace(STARTED, state="completed", completed_on=DAY), DAY, DAY, LATEST), Repeated),
        (grants.revoke(STARTED, "why"), Done),
        (grants.revoke(Milestones("awarded"), "why"), Conflict),
        (grants.revoke(Milestones("revoked", revoke_reason="why"), "why"), Repeated),
        (grants.revoke(Milestones("revoked", revoke_reason="why"), "other"), Conflict),
    ],
)
def test_a_grant_takes_its_steps_in_order_and_a_repeated_step_is_the_same(answer: object, expected: type) -> None:
    assert isinstance(answer, expected)


def test_money_comes_back_only_from_where_it_is_held() -> None:
    assert {state: grants.held_in(state) for state in ("awarded", "accepted", "committed", "started", "completed")} == {
        "awarded": "reserved", "accepted": "reserved", "committed": "committed", "started": "committed",
        "completed": None,
    }  # fmt: skip
    assert not grants.may_release("completed", "withdrawn")
    assert not grants.may_release("accepted", "declined")
    assert not grants.may_release("started", "lapsed")


def test_a_round_is_ready_when_nothing_is_missing() -> None:
    ready = RoundCount(3, 0, 3, members_match=True, call_version=1, closed_call_version=1)
    assert is_ready(ready)
    assert waits_for(replace(ready, call_version=None, closed_count=None)) == ["call", "closing"]
    assert waits_for(replace(ready, received=2, members_match=None, open_members=1)) == ["applications", "scores"]
    assert waits_for(replace(ready, members_match=False)) == ["matching_applications"]
    assert waits_for(replace(ready, closed_call_version=2)) == ["call"]
    assert not is_ready(replace(ready, members_match=None))


def test_rounds_are_decided_in_the_order_in_which_they_close() -> None:
    rounds = [RoundOrder("r2", AT + timedelta(days=2), decided=False), RoundOrder("r1", AT, decided=False)]
    assert undecided_before("r2", rounds) == "r1"
    assert undecided_before("r1", rounds) is None
    assert undecided_before("r2", [rounds[0], replace(rounds[1], decided=True)]) is None
