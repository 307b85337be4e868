"""The folder of the real call: what it holds, and what the rules make of it by an independent reckoning."""

import copy
import json
import re
import runpy
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import pstdev
from typing import Any

import pytest
from ruamel.yaml import YAML
from stdnum.fr import siren, siret

from shared.events.call import Call
from tests import reckoning

FOLDER = Path(__file__).parents[2] / "data" / "innovation-2021"
NAMED_LAUREATES = {
    "IFPRA": "Digital mixité challenge",
    "Ada Tech School": "Lovelace",
    "Social Builder": "MOOC « Recruter et faire évoluer les femmes dans les métiers numérique »",
    "Maison de l’Emploi du Grand Nancy": "Tech My GE",
    "Diversidays": "DéClics Numériques - Inclusion handicap",
    "INCO": "Get Into Tech Refugies",
    "Concept X Formation": "Formation à distance en réalité virtuelle",
}


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return reckoning.load(FOLDER)


@pytest.fixture(scope="module")
def outcome(facts: dict[str, Any]) -> reckoning.Outcome:
    return reckoning.reckon(facts)


def with_call(facts: dict[str, Any], **changes: Any) -> reckoning.Outcome:
    changed = copy.deepcopy(facts)
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = changed["call"]
        for parent in parents:
            part = part[parent]
        part[last] = value
    return reckoning.reckon(changed)


def test_the_call_is_a_valid_call_file_with_the_published_numbers(facts: dict[str, Any]) -> None:
    call = Call.model_validate(facts["call"])
    assert (call.envelope_eur, call.grant.min_eur, call.grant.max_eur) == (4_000_000, 10_000, 40_000)
    assert (len(call.admissibility), len(call.rubric.criteria), len(call.themes), len(call.publics)) == (8, 6, 4, 7)
    assert (call.project.starts_within_months, call.project.ends_by.isoformat()) == (3, "2022-12-31")
    assert [each.closes_at.date().isoformat() for each in call.rounds] == ["2021-07-31", "2021-09-30"]
    assert call.rounds[1].announce_at.strftime("%Y-%m") == "2021-11"


def test_the_condition_of_the_calendar_says_by_as_the_rule_takes_the_last_day(facts: dict[str, Any]) -> None:
    (calendar,) = [each["text"] for each in facts["call"]["admissibility"] if each["machine"] == "dates_in_calendar"]
    assert "ends by 31 December 2022" in calendar["en"]
    assert "finit au plus tard le 31 décembre 2022" in calendar["fr"]


def test_what_people_read_has_the_apostrophe_of_print() -> None:
    for path in sorted(FOLDER.parent.glob("**/*.yaml")):
        read = json.dumps(YAML(typ="safe").load(path), ensure_ascii=False, default=str)
        assert re.findall(r"\w+'\w+", read) == [], path.name


def test_eighty_nine_distinct_applications_keep_the_rules_of_the_door(facts: dict[str, Any]) -> None:
    call, applications = facts["call"], facts["applications"]["applications"]
    assert len(applications) == 89
    for distinct in ("title", "summary"):
        assert len({each["project"][distinct] for each in applications}) == 89
    assert len({each["contact"]["email"] for each in applications}) == 89
    for each in applications:
        project, organisation = each["project"], each["organisation"]
        assert siret.is_valid(organisation["siret"])
        assert organisation["siret"].startswith("0000"), "invented numbers must be told from the register's"
        assert call["grant"]["min_eur"] <= project["requested_eur"] <= call["grant"]["max_eur"]
        assert project["themes"]
        assert project["starts_on"] < project["ends_on"] <= call["project"]["ends_by"]
        assert organisation["kind"] == "training_organisation" or "partner" in organisation
        assert each["contact"]["email"].endswith(".example.org")
        assert reckoning.round_of(call, each)


def test_applications_stand_in_the_order_of_their_deposit(facts: dict[str, Any]) -> None:
    applications = facts["applications"]["applications"]
    assert all(a["submitted_at"] <= b["submitted_at"] for a, b in pairwise(applications))
    assert [each["dossier"] for each in applications] == [f"d{number:02d}" for number in range(1, 90)]


def test_the_committed_marks_are_what_the_declared_draw_gives() -> None:
    draw = runpy.run_path(str(FOLDER.parent / "reconstruct.py"))
    assert draw["reconstruct"](FOLDER) == (FOLDER / "marks.yaml").read_text(encoding="utf-8")


def test_the_rules_select_forty_seven_for_close_to_1_600_000_eur(outcome: reckoning.Outcome) -> None:
    assert len(outcome.awarded) == 47
    assert 1_590_000 <= outcome.awarded_eur <= 1_610_000
    assert outcome.waitlisted == []


def test_the_seven_named_projects_are_among_the_laureates(facts: dict[str, Any], outcome: reckoning.Outcome) -> None:
    titles = {
        each["organisation"]["name"]: each["project"]["title"]
        for each in facts["applications"]["applications"]
        if each["dossier"] in outcome.awarded
    }
    assert NAMED_LAUREATES.items() <= titles.items()


def test_every_application_ends_in_one_way(outcome: reckoning.Outcome) -> None:
    ended = [*outcome.inadmissible, *outcome.withdrawn, *outcome.awarded, *outcome.not_selected]
    assert Counter(ended) == Counter({f"d{number:02d}": 1 for number in range(1, 90)})
    assert (len(outcome.inadmissible), len(outcome.withdrawn)) == (9, 4)


def test_many_applications_lie_close_to_the_pass_mark(facts: dict[str, Any], outcome: reckoning.Outcome) -> None:
    pass_mark = facts["call"]["rubric"]["pass_mark"]
    assert sum(abs(each.score - pass_mark) <= 3 for each in outcome.judged) >= 10


def test_marks_spread_on_every_criterion(facts: dict[str, Any]) -> None:
    for criterion in facts["call"]["rubric"]["criteria"]:
        given = [
            opinion["marks"][criterion["id"]]["value"]
            for slots in facts["marks"]["evaluations"].values()
            for slot, opinion in slots.items()
            if slot in (1, 2)
        ]
        assert pstdev(mark for mark in given if mark is not None) >= 0.6


def test_some_opinions_needed_a_third_reader_and_one_the_chair(outcome: reckoning.Outcome) -> None:
    bases = Counter(each.basis for each in outcome.judged)
    assert bases["further"] >= 1
    assert bases["arbitrated"] == 1


def test_a_tie_is_broken_by_the_published_tie_break(facts: dict[str, Any], outcome: reckoning.Outcome) -> None:
    call = facts["call"]
    ranked = [
        each
        for part in call["rounds"]
        for each in reckoning.rank(call, [j for j in outcome.judged if j.round_id == part["id"]])
    ]
    ties = [(a, b) for a, b in pairwise(ranked) if a.score == b.score and a.round_id == b.round_id]
    broken = [
        (a, b)
        for a, b in ties
        if [a.criteria[c] for c in call["tie_break"]] != [b.criteria[c] for c in call["tie_break"]]
    ]
    assert any(a.submitted_at > b.submitted_at for a, b in broken), "one where the deposit would have decided otherwise"


def test_one_reviewer_steps_back_and_one_stays_with_a_waiver(facts: dict[str, Any]) -> None:
    declared = [each for slots in facts["instruction"]["conflicts"].values() for each in slots.values()]
    assert {each["kind"] for each in declared} == {"hard", "soft"}
    assert all(each["waiver"] for each in declared if each["kind"] == "soft")


def test_some_reviewers_belong_to_an_applicant(facts: dict[str, Any]) -> None:
    applicants = {each["organisation"]["siret"][:9] for each in facts["applications"]["applications"]}
    tied = {number for each in facts["reviewers"]["reviewers"] for number in each["organisations"]}
    assert tied
    assert tied <= applicants
    assert all(siren.is_valid(number) for number in tied)


def test_a_pass_mark_three_points_higher_gives_fewer_laureates(
    facts: dict[str, Any], outcome: reckoning.Outcome
) -> None:
    assert len(with_call(facts, rubric__pass_mark=63).awarded) < len(outcome.awarded)


def test_an_envelope_of_1_000_000_eur_gives_a_waiting_list(facts: dict[str, Any]) -> None:
    short = with_call(facts, envelope_eur=1_000_000)
    assert short.waitlisted
    assert short.awarded_eur <= 1_000_000
    assert short.remaining_eur == 1_000_000 - short.awarded_eur


def test_two_applications_with_exchanged_marks_exchange_outcomes(
    facts: dict[str, Any], outcome: reckoning.Outcome
) -> None:
    best = next(each.dossier for each in outcome.judged if each.dossier in outcome.awarded)
    last = next(each.dossier for each in outcome.judged if each.score < Fraction(50))
    changed = copy.deepcopy(facts)
    marks = changed["marks"]["evaluations"]
    marks[best], marks[last] = marks[last], marks[best]
    exchanged = reckoning.reckon(changed)
    assert best in exchanged.not_selected
    assert last in exchanged.awarded
