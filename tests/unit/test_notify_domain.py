"""The rules of letters as pure functions."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.headers import HeaderRefused, header_value
from services.notify.domain.letters import (
    NEEDS,
    TEMPLATES,
    Mark,
    feedback,
    letter_of_outcome,
    letter_of_release,
    link_minutes,
    list_ends_on,
    missing,
    why_less,
)
from services.notify.domain.replies import Again, Never, after_refusal, pause_s, reason_of_reply
from services.notify.queue import message_id

EVENT = "0190d5c0-0000-7000-8000-00000000000a"
PARIS = ZoneInfo("Europe/Paris")


def test_a_message_id_depends_on_event_and_template_alone() -> None:
    assert (
        message_id(EVENT, "receipt")
        == f"<{uuid5(uuid5(NAMESPACE_URL, 'urn:releve:letters'), f'{EVENT}/receipt')}@letters.releve>"
    )
    assert message_id(EVENT, "receipt") == message_id(EVENT.upper(), "receipt")
    assert len({message_id(EVENT, template) for template in TEMPLATES}) == len(TEMPLATES)


def test_sealed_facts_call_for_no_letter() -> None:
    assert letter_of_outcome("awarded", sealed=True) is None
    assert letter_of_outcome("awarded", sealed=False) == "awarded"
    assert letter_of_release("declined", sealed=True) is None
    assert letter_of_release("withdrawn", sealed=False) is None
    assert letter_of_release("lapsed", sealed=False) == "lapsed"


def test_every_letter_says_what_it_needs() -> None:
    assert set(NEEDS) == set(TEMPLATES)
    assert missing("awarded", {"contact", "call", "application"}) == ["outcome", "score"]
    assert missing("sign_in", {"contact"}) == []


@pytest.mark.parametrize(
    ("requested", "recommended", "amount", "why"),
    [
        (35000, None, 35000, None),
        (35000, 30000, 30000, "recommended"),
        (35000, 5000, 10000, "recommended"),
        (35000, 40000, 35000, None),
        (35000, 30000, 12000, "money_left"),
        (35000, None, 12000, "money_left"),
        (8000, 5000, 8000, None),
    ],
)
def test_a_lower_grant_is_explained(requested: int, recommended: int | None, amount: int, why: str | None) -> None:
    assert why_less(requested, recommended, amount, 10000) == why


def test_feedback_keeps_the_rubrics_order_and_sets_apart_what_did_not_apply() -> None:
    criteria = [("b", "B", {2: "Faible", 4: "Bon"}), ("a", "A", {}), ("c", "C is a sentence.", {3: "Moyen"})]
    marks, not_applicable = feedback(criteria, {"c": Decimal("2.60"), "b": Decimal("2.50")})
    assert marks == [Mark("B", Decimal("2.50"), "Faible"), Mark("C is a sentence", Decimal("2.60"), "Moyen")]
    assert not_applicable == ["A"]


def test_the_waiting_list_ends_at_its_date_else_the_next_announcement_else_with_the_projects() -> None:
    announced = datetime(2021, 11, 17, 23, 30, tzinfo=UTC)
    given_end = datetime(2022, 1, 5, 12, tzinfo=UTC)
    rounds = [("r1", announced, given_end), ("r2", announced, None), ("r3", announced + timedelta(days=90), None)]
    ends_by = date(2022, 12, 31)
    assert list_ends_on("r1", rounds, ends_by, PARIS) == date(2022, 1, 5)
    assert list_ends_on("r2", rounds, ends_by, PARIS) == date(2022, 2, 16)
    assert list_ends_on("r3", rounds, ends_by, PARIS) == ends_by
    assert list_ends_on("r1", [("r1", announced, None), ("r2", announced, None)], ends_by, PARIS) == date(2021, 11, 18)


def test_a_link_holds_for_at_least_a_minute_in_words() -> None:
    asked = datetime(2021, 9, 1, tzinfo=UTC)
    assert link_minutes(asked, asked + timedelta(minutes=15, seconds=59)) == 15
    assert link_minutes(asked, asked + timedelta(seconds=20)) == 1


@given(st.text())
def test_what_a_header_takes_is_one_line_for_everybody(value: str) -> None:
    try:
        taken = header_value("Subject", value)
    except HeaderRefused:
        assert not value.isprintable()
    else:
        assert taken == value
        assert len(value.splitlines()) <= 1
        assert "\r" not in value
        assert "\n" not in value


@pytest.mark.parametrize("separator", ["\r", "\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("around", ["a{}b", "{}b", "a{}"])
def test_every_separator_that_splitlines_knows_is_refused(separator: str, around: str) -> None:
    with pytest.raises(HeaderRefused):
        header_value("Subject", around.format(separator))


def test_pauses_double_up_to_the_longest() -> None:
    assert [pause_s(n, 60, 3600) for n in (0, 1, 2, 3, 7, 10_000)] == [60, 60, 120, 240, 3600, 3600]


def refused(code: int, attempts: int = 1, refused_for_s: float = 0) -> Again | Never:
    return after_refusal(code, "4.7.1 <a@b.example> later", attempts, refused_for_s,
                         first_s=60, longest_s=3600, give_up_after_s=86400)  # fmt: skip


def test_a_refusal_for_now_is_tried_again_and_one_for_good_is_not() -> None:
    assert refused(451, attempts=2) == Again(120, "451 4.7.1")
    assert refused(550) == Never("550 4.7.1")
    assert refused(451, refused_for_s=86400) == Never("refused for too long, last 451 4.7.1")


def test_a_reply_is_told_by_its_codes_alone() -> None:
    assert reason_of_reply(550, "5.1.1 <a@b.example>: user unknown") == "550 5.1.1"
    assert reason_of_reply(554, "a@b.example is not here") == "554"
