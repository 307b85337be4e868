"""The document a replay ends with, and what a person reads of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.replay.document import all_hold
from cli.replay.script import Scene
from cli.replay.story import Act
from cli.replay.view import CHECKING, DOING, TO_THE_END, Course, Lines, euros, show, standings
from cli.verify.evidence import received_message_ids


@pytest.fixture
def document() -> dict[str, Any]:
    return {
        "submitted": 3, "inadmissible": 1, "withdrawn": 0, "scored": 2, "laureates": 1, "waitlisted": 0,
        "not_selected": 1, "awarded_eur": 35_000, "envelope_eur": 40_000, "remaining_eur": 5_000,
        "letters": {"awarded": 1, "receipt": 3},
        "invariants": {"ledger_never_overdrawn": True, "one_outcome_each": True},
        "laureate_list": [{"reference": "X-0001", "organisation": "École", "title": "Projet", "amount_eur": 35_000}],
    }  # fmt: skip


def told(document: dict[str, Any]) -> str:
    console = Console(width=100, record=True, quiet=False)
    with console.capture() as said:
        show("A call", document, console)
    return said.get()


def test_a_replay_succeeds_only_if_every_invariant_holds(document: dict[str, Any]) -> None:
    assert all_hold(document)
    document["invariants"]["one_outcome_each"] = False
    assert not all_hold(document)


def test_the_result_names_laureates_euros_letters_and_invariants(document: dict[str, Any]) -> None:
    said = told(document)
    for part in ("1 laureate,", f"{euros(35_000)} awarded", "X-0001", "École", "4 letters", "All 2 invariants hold"):
        assert part in said


def test_a_broken_invariant_is_named(document: dict[str, Any]) -> None:
    document["invariants"]["ledger_never_overdrawn"] = False
    assert "Broken: ledger_never_overdrawn" in told(document)


def test_where_the_applications_stand_adds_up_to_all_that_were_submitted(document: dict[str, Any]) -> None:
    document |= {"submitted": 12, "scored": 10, "withdrawn": 3, "laureates": 5, "not_selected": 1}
    places = standings(document)
    assert sum(int(place.partition(" ")[0]) for place in places) == 12
    assert places[0] == "5 laureates"
    assert places[-1].startswith("2 others")
    assert "scored" not in " ".join(places), "most of those who were scored stand somewhere else now"
    document |= {"withdrawn": 5}
    assert not any("other" in place for place in standings(document))


def test_a_name_with_brackets_is_shown_as_it_is_written(document: dict[str, Any]) -> None:
    document["laureate_list"][0]["title"] = "Le [grand] saut [/]"
    assert "Le [grand] saut [/]" in told(document)


def scene(name: str) -> Scene:
    async def play() -> None: ...

    return Scene(datetime(2021, 8, 2, 9, 15, tzinfo=UTC), name, play)


def test_without_a_terminal_each_phase_gets_a_plain_line_with_its_day_and_the_count() -> None:
    said: list[str] = []
    lines = Lines(Course(4), said.append)
    for name in ("publish", "submit", "submit", "withdraw"):
        lines.scene(scene(name))
    lines.instant(datetime(2021, 8, 2, 9, 16, tzinfo=UTC))
    lines.checks()
    lines.end()
    assert said[:-3] == [
        "2021-08-02 09:15 UTC     1 of 4  the call is published",
        "2021-08-02 09:15 UTC     2 of 4  applicants submit",
        "2021-08-02 09:15 UTC     4 of 4  an applicant withdraws",
    ]
    assert said[-3].endswith(TO_THE_END)
    assert said[-2].endswith(CHECKING)
    assert said[-1].startswith("4 acts played")
    assert all(line.isprintable() for line in said)


def test_a_long_phase_is_heard_of_now_and_then() -> None:
    said: list[str] = []
    lines = Lines(Course(3), said.append, every_s=0)
    for _ in range(3):
        lines.scene(scene("submit"))
    lines.instant(datetime(2021, 8, 3, tzinfo=UTC))
    assert [line.split("  ", 2)[-1].strip() for line in said] == [
        "1 of 3  applicants submit", "2 of 3  applicants submit", "3 of 3  applicants submit",
        f"3 of 3  {TO_THE_END}",
    ]  # fmt: skip


def test_a_replay_that_only_repeats_says_that_nothing_came_of_it() -> None:
    course = Course(1)
    course.scene(scene("submit"))
    course.checks()
    assert course.ending.startswith("1 act repeated")
    assert "nothing new" in course.ending


def test_money_is_written_as_english_pages_write_it() -> None:
    assert euros(1_597_000) == "€1,597,000"


def test_a_message_sent_twice_is_one_letter(tmp_path: Path) -> None:
    for number, message_id in enumerate(["<a@releve>", "<a@releve>", "<b@releve>"]):
        message = f"X-Envelope-To: x@example.org\r\nMessage-ID: {message_id}\r\nSubject: s\r\n\r\nbody\r\n"
        (tmp_path / f"{number}.eml").write_bytes(message.encode())
    assert received_message_ids(tmp_path) == {"<a@releve>", "<b@releve>"}


def test_every_act_has_words_for_whoever_watches() -> None:
    acts = set(Act.model_fields["act"].annotation.__args__)  # type: ignore[union-attr]
    assert acts | {"submit", "withdraw"} == set(DOING)
