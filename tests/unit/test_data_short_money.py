"""The fiction in which money is short: what the rules make of it, by an independent reckoning."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from stdnum.fr import siret

from shared.events.call import Call
from tests import reckoning

FOLDER = Path(__file__).parents[2] / "data" / "short-money"


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return reckoning.load(FOLDER)


def walk(claims: dict[str, int], available_eur: int) -> tuple[dict[str, int], int]:
    """Promote whom the money suffices for, in the order of the list (`shortfall: skip`)."""
    promoted: dict[str, int] = {}
    for dossier, claim in claims.items():
        if claim <= available_eur:
            promoted[dossier] = claim
            available_eur -= claim
    return promoted, available_eur


def test_the_call_is_a_valid_call_file(facts: dict[str, Any]) -> None:
    call = Call.model_validate(facts["call"])
    assert (call.envelope_eur, call.shortfall, call.second_person) == (200_000, "skip", False)


def test_twelve_applications_with_contacts_in_both_languages(facts: dict[str, Any]) -> None:
    applications = facts["applications"]["applications"]
    assert len(applications) == 12
    assert {each["contact"]["language"] for each in applications} == {"fr", "en"}
    assert all(siret.is_valid(each["organisation"]["siret"]) for each in applications)
    assert all(reckoning.round_of(facts["call"], each) for each in applications)


def test_the_committed_marks_are_what_the_declared_draw_gives() -> None:
    draw = runpy.run_path(str(FOLDER.parent / "reconstruct.py"))
    assert draw["reconstruct"](FOLDER) == (FOLDER / "marks.yaml").read_text(encoding="utf-8")


def test_the_envelope_is_short_and_a_smaller_claim_passes_a_larger_one(facts: dict[str, Any]) -> None:
    outcome = reckoning.reckon(facts)
    assert len(outcome.awarded) >= 5
    assert len(outcome.waitlisted) >= 3
    scores = {each.dossier: each.score for each in outcome.judged}
    assert min(scores[each] for each in outcome.awarded) < max(scores[each] for each in outcome.waitlisted)


def test_the_tie_break_decides_who_waits(facts: dict[str, Any]) -> None:
    outcome = reckoning.reckon(facts)
    scores = {each.dossier: each.score for each in outcome.judged}
    assert {scores[each] for each in outcome.awarded} & {scores[each] for each in outcome.waitlisted}


def test_each_release_promotes_and_the_list_ends_with_somebody_on_it(facts: dict[str, Any]) -> None:
    outcome = reckoning.reckon(facts)
    applications = {each["dossier"]: each for each in facts["applications"]["applications"]}
    by_offer = {each.get("offer", "accept"): dossier for dossier, each in applications.items()}
    later = sorted((each["withdraws"]["at"], dossier) for dossier, each in applications.items() if "withdraws" in each)
    sealed, accepted = [dossier for _, dossier in later if dossier in outcome.awarded]
    list_of_claims = {each.dossier: each.claim_eur for each in outcome.judged}
    waiting = {dossier: list_of_claims[dossier] for dossier in outcome.waitlisted}
    available = outcome.remaining_eur
    for leaving in (sealed, by_offer["decline"], accepted, by_offer["silent"]):
        promoted, available = walk(waiting, available + outcome.awarded[leaving])
        waiting = {dossier: claim for dossier, claim in waiting.items() if dossier not in promoted}
        if leaving != by_offer["silent"]:
            assert promoted, f"the money of {leaving} goes to somebody"
    assert len(waiting) == 1
