"""The document a replay ends with, and what a person reads of it."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.replay.document import all_hold
from cli.replay.story import Act
from cli.replay.view import DOING, euros, show
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


def test_a_message_sent_twice_is_one_letter(tmp_path: Path) -> None:
    for number, message_id in enumerate(["<a@releve>", "<a@releve>", "<b@releve>"]):
        message = f"X-Envelope-To: x@example.org\r\nMessage-ID: {message_id}\r\nSubject: s\r\n\r\nbody\r\n"
        (tmp_path / f"{number}.eml").write_bytes(message.encode())
    assert received_message_ids(tmp_path) == {"<a@releve>", "<b@releve>"}


def test_every_act_has_words_for_whoever_watches() -> None:
    acts = set(Act.model_fields["act"].annotation.__args__)  # type: ignore[union-attr]
    assert acts | {"submit", "withdraw"} == set(DOING)
