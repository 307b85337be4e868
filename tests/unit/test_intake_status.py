"""What the facts about an application amount to, in whatever order they arrive, and what of it may be told."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.domain.answers import NotPossible, Taken, decide_answer, decide_withdrawal
from services.intake.domain.closing import members_sha256
from services.intake.domain.status import Fact, Kind, laureate_amount_eur, shown_state, state, told
from services.intake.domain.timeline import timeline

T0 = datetime(2021, 6, 14, 8, tzinfo=UTC)
ANNOUNCED_AT = T0 + timedelta(days=100)
ANSWER_BY = T0 + timedelta(days=130)


def day(number: int) -> datetime:
    return T0 + timedelta(days=number)


ADMITTED = Fact(Kind.ADMITTED, 1, day(60))
INADMISSIBLE = Fact(Kind.INADMISSIBLE, 1, day(60), reason="theme")
SCORED = Fact(Kind.SCORED, 2, day(70))
VOIDED = Fact(Kind.SCORE_VOIDED, 3, day(71), reason="conflict")
RESCORED = Fact(Kind.SCORED, 4, day(72))
AWARDED = Fact(Kind.AWARDED, 1, day(80), sealed=True, grant_id="g", amount_eur=30000, answer_by=ANSWER_BY)
WAITLISTED = Fact(Kind.WAITLISTED, 1, day(80), sealed=True, reason="envelope_short")
PROMOTED = Fact(Kind.AWARDED, 2, day(90), sealed=True, grant_id="g", amount_eur=25000, answer_by=ANSWER_BY)
NOT_SELECTED = Fact(Kind.NOT_SELECTED, 1, day(80), sealed=True, reason="below_pass_mark")
LIST_ENDED = Fact(Kind.NOT_SELECTED, 4, day(130), reason="list_ended")
ANNOUNCED = Fact(Kind.ANNOUNCED, 3, ANNOUNCED_AT)
RECEIPT = Fact(Kind.NOTIFIED, 1, T0, template="receipt")
LETTER = Fact(Kind.NOTIFIED, 2, ANNOUNCED_AT, template="awarded")
ACCEPTED = Fact(Kind.ACCEPTED, 0, day(105), grant_id="g")
DECLINED = Fact(Kind.DECLINED, 0, day(105), grant_id="g")
SIGNED = Fact(Kind.CONVENTION_SIGNED, 4, day(120), grant_id="g", amount_eur=30000)
STARTED = Fact(Kind.STARTED, 5, day(150), grant_id="g")
COMPLETED = Fact(Kind.COMPLETED, 6, day(400), grant_id="g")
WITHDRAWN = Fact(Kind.WITHDRAWN, 0, day(110), reason="no means")


def released(reason: str, *, sealed: bool = False) -> Fact:
    return Fact(Kind.RELEASED, 7, day(140), sealed=sealed, grant_id="g", amount_eur=30000, reason=reason)


LIVES: dict[str, tuple[list[Fact], str, str]] = {
    "nothing yet": ([RECEIPT], "submitted", "submitted"),
    "admitted": ([ADMITTED], "admitted", "in_review"),
    "scored": ([ADMITTED, SCORED], "scored", "in_review"),
    "voided": ([ADMITTED, SCORED, VOIDED], "admitted", "in_review"),
    "scored again": ([ADMITTED, SCORED, VOIDED, RESCORED], "scored", "in_review"),
    "inadmissible under seal": ([INADMISSIBLE], "inadmissible", "in_review"),
    "inadmissible": ([INADMISSIBLE, ANNOUNCED], "inadmissible", "inadmissible"),
    "announced before the reason is known": ([ANNOUNCED], "submitted", "submitted"),
    "not selected under seal": ([ADMITTED, SCORED, NOT_SELECTED], "not_selected", "in_review"),
    "not selected": ([ADMITTED, SCORED, NOT_SELECTED, ANNOUNCED], "not_selected", "not_selected"),
    "waitlisted": ([ADMITTED, SCORED, WAITLISTED, ANNOUNCED], "waitlisted", "waitlisted"),
    "promoted under seal": ([SCORED, WAITLISTED, PROMOTED, ANNOUNCED], "awarded", "awarded"),
    "list ended": ([SCORED, WAITLISTED, ANNOUNCED, LIST_ENDED], "not_selected", "not_selected"),
    "awarded under seal": ([ADMITTED, SCORED, AWARDED], "awarded", "in_review"),
    "awarded": ([ADMITTED, SCORED, AWARDED, ANNOUNCED, LETTER], "awarded", "awarded"),
    "accepted": ([SCORED, AWARDED, ANNOUNCED, ACCEPTED], "accepted", "accepted"),
    "declined": ([SCORED, AWARDED, ANNOUNCED, DECLINED, released("declined")], "declined", "declined"),
    "lapsed": ([SCORED, AWARDED, ANNOUNCED, released("lapsed")], "lapsed", "lapsed"),
    "declined too late": ([SCORED, AWARDED, ANNOUNCED, DECLINED, released("lapsed")], "lapsed", "lapsed"),
    "signed": ([SCORED, AWARDED, ANNOUNCED, ACCEPTED, SIGNED], "committed", "committed"),
    "revoked": ([AWARDED, ANNOUNCED, ACCEPTED, SIGNED, STARTED, released("revoked")], "revoked", "revoked"),
    "started": ([AWARDED, ANNOUNCED, ACCEPTED, SIGNED, STARTED], "started", "started"),
    "withdrawn under seal": ([AWARDED, WITHDRAWN, released("withdrawn", sealed=True)], "withdrawn", "withdrawn"),
    "withdrawn late": ([AWARDED, ANNOUNCED, ACCEPTED, WITHDRAWN, released("withdrawn")], "withdrawn", "withdrawn"),
    "completed wins": ([AWARDED, ANNOUNCED, SIGNED, STARTED, WITHDRAWN, COMPLETED], "completed", "completed"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIVES)
def test_the_highest_fact_is_the_state_and_what_is_sealed_is_in_review(name: str) -> None:
    facts, real, shown = LIVES[name]
    assert state(facts) == real
    assert shown_state(facts, round_closed=False) == shown
    assert shown_state(facts, round_closed=True) == ("in_review" if shown == "submitted" else shown)


@settings(deadline=None)  # a busy machine is no mistake
@given(st.sampled_from(sorted(LIVES)).flatmap(lambda name: st.tuples(st.just(name), st.permutations(LIVES[name][0]))))
def test_every_order_of_arrival_tells_the_same(arrival: tuple[str, list[Fact]]) -> None:
    name, facts = arrival
    in_order = LIVES[name][0]
    assert state(facts) == LIVES[name][1]
    assert shown_state(facts, round_closed=True) == shown_state(in_order, round_closed=True)
    assert timeline(T0, day(50), facts) == timeline(T0, day(50), in_order)
    assert laureate_amount_eur(facts) == laureate_amount_eur(in_order)


SEALED = ("inadmissible under seal", "not selected under seal", "awarded under seal", "scored", "voided")


@pytest.mark.parametrize("name", SEALED)
def test_a_sealed_application_looks_and_answers_like_any_other(name: str) -> None:
    facts = LIVES[name][0]
    other = LIVES["admitted"][0]
    assert told(facts) == []
    assert laureate_amount_eur(facts) is None
    assert timeline(T0, day(50), facts) == timeline(T0, day(50), other)
    for answer in (Kind.ACCEPTED, Kind.DECLINED):
        assert decide_answer(facts, answer, day(90)) == decide_answer(other, answer, day(90)) == NotPossible()
    assert decide_withdrawal(facts, "x", day(90)) == decide_withdrawal(other, "x", day(90))


def test_a_letter_that_tells_an_outcome_waits_for_the_announcement() -> None:
    sealed = [entry.what for entry in timeline(T0, day(50), [AWARDED, LETTER, RECEIPT])]
    assert sealed == ["submitted", "letter_sent", "in_review"]


def test_the_timeline_tells_the_award_when_it_was_announced_not_when_it_was_decided() -> None:
    facts = [ADMITTED, SCORED, WAITLISTED, PROMOTED, ANNOUNCED, LETTER, ACCEPTED, SIGNED]
    told_entries = [(entry.what, entry.at) for entry in timeline(T0, day(50), facts)]
    assert told_entries == [
        ("submitted", T0),
        ("in_review", day(50)),
        ("awarded", ANNOUNCED_AT),
        ("letter_sent", ANNOUNCED_AT),
        ("accepted", ACCEPTED.occurred_at),
        ("committed", SIGNED.occurred_at),
    ]


def test_a_release_that_repeats_the_applicant_is_told_once() -> None:
    facts = [AWARDED, ANNOUNCED, DECLINED, released("declined")]
    assert [entry.what for entry in timeline(T0, None, facts)] == ["submitted", "awarded", "declined"]


def test_an_offer_is_answered_until_its_last_instant_and_not_after() -> None:
    facts = [AWARDED, ANNOUNCED]
    assert isinstance(decide_answer(facts, Kind.ACCEPTED, ANSWER_BY), Taken)
    assert decide_answer(facts, Kind.ACCEPTED, ANSWER_BY + timedelta(microseconds=1)) == NotPossible()


def test_an_answer_is_given_once_and_then_repeated() -> None:
    accepted = [AWARDED, ANNOUNCED, ACCEPTED, SIGNED, released("revoked")]
    assert decide_answer(accepted, Kind.ACCEPTED, day(500)) == Taken(ACCEPTED, again=True)
    assert decide_answer(accepted, Kind.DECLINED, day(106)) == NotPossible()
    assert decide_withdrawal([WITHDRAWN], "another reason", day(500)) == Taken(WITHDRAWN, again=True)


@pytest.mark.parametrize("name", ["not selected", "inadmissible", "declined", "lapsed", "signed", "started", "revoked"])
def test_a_withdrawal_comes_too_late_after_the_convention_or_an_announced_end(name: str) -> None:
    assert decide_withdrawal(LIVES[name][0], "x", day(200)) == NotPossible()


@pytest.mark.parametrize("name", ["nothing yet", "scored", "waitlisted", "awarded", "accepted", *SEALED])
def test_an_application_may_be_withdrawn_until_then(name: str) -> None:
    assert isinstance(decide_withdrawal(LIVES[name][0], "x", day(200)), Taken)


def test_only_who_holds_an_announced_grant_is_a_laureate() -> None:
    laureates = {name for name, (facts, _, _) in LIVES.items() if laureate_amount_eur(facts) is not None}
    assert laureates == {"awarded", "promoted under seal", "accepted", "signed", "started", "completed wins"}


def test_an_unsealed_award_needs_no_further_word() -> None:
    rolling = Fact(Kind.AWARDED, 1, day(80), grant_id="g", amount_eur=30000, answer_by=ANSWER_BY)
    assert shown_state([rolling], round_closed=False) == "awarded"
    assert laureate_amount_eur([rolling]) == 30000


def test_the_members_of_a_round_are_hashed_in_the_order_of_their_ids() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert members_sha256([]) == empty
    assert members_sha256(["b", "a"]) == members_sha256(iter(["a", "b"]))
