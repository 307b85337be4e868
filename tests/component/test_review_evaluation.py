"""From a plan to a score: declarations, marks, further reviewers, arbitration, late conflicts."""

import asyncio
from decimal import Decimal

import pytest

from tests.builders_review import CALL, R1, Dossier, Review, a_call, dossiers, evaluation, marks


async def an_application(review: Review, *subjects: str) -> Dossier:
    """One application in evaluation: by `ana` and `ben`, where nobody else comes first."""
    (dossier,) = dossiers(1)
    await review.planned(a_call(), [dossier], *subjects)
    return dossier


async def progress_of(review: Review, dossier: Dossier) -> dict[str, object]:
    page = await review.done("chair", "GET", f"/rounds/{R1}/progress")
    return next(item for item in page["applications"] if item["application_id"] == dossier.id)


async def test_two_evaluations_that_agree_are_scored_by_the_one_that_comes_last(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben")
    await review.evaluate("ana", dossier, 4, recommended_eur=20_000)
    assert await review.events("Scored") == []
    await review.evaluate("ben", dossier, 5, 4, recommended_eur=30_000)
    (scored,) = await review.events("Scored")
    assert (scored.application_id, scored.revision, scored.basis) == (dossier.id, 1, "agreed")
    assert (scored.score, scored.spread, scored.evaluations) == (Decimal("85.00"), Decimal("10.00"), 2)
    assert scored.criteria == {"relevance": Decimal("4.5"), "inclusion": Decimal(4)}
    assert (scored.recommended_eur, scored.formula_version, scored.call_version) == (20_000, 1, 1)
    assert "secr" not in scored.model_dump_json()


async def test_a_repeated_command_answers_the_same_and_changes_nothing(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben")
    path = f"/applications/{dossier.id}"
    commands = [
        ("officer-2", "POST", f"{path}/admissibility", {"checks": {"public": True}, "reason": ""}),
        ("ana", "POST", f"{path}/conflict", {"kind": "soft", "reason": "Un lien."}),
        ("chair", "POST", f"{path}/waive", {"subject": "ana", "reason": "Ancien."}),
        ("ana", "PUT", f"{path}/evaluation", evaluation(3)),
        ("ana", "POST", f"{path}/evaluation/submit", None),
    ]
    answers = [await review.done(*command) for command in commands]
    await review.evaluate("ben", dossier, 3)
    said = await review.events()
    tables = ("assignment", "declaration", "evaluation_version", "score")
    before = [await review.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]  # noqa: S608
    assert [await review.done(*command) for command in commands] == answers
    assert [await review.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables] == before  # noqa: S608
    assert await review.events() == said


async def test_other_content_for_a_decided_thing_is_a_conflict_of_state(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben")
    await review.evaluate("ana", dossier, 3)
    path = f"/applications/{dossier.id}"
    for who, method, address, body in [
        ("officer", "POST", f"{path}/admissibility", {"checks": {"public": False}, "reason": "Non."}),
        ("ana", "PUT", f"{path}/evaluation", evaluation(4)),
        ("ben", "PUT", f"{path}/evaluation", evaluation(4)),  # has not declared
        ("ben", "POST", f"{path}/evaluation/submit", None),
        ("chair", "POST", f"{path}/waive", {"subject": "ana", "reason": "Ancien."}),
        ("chair", "POST", f"{path}/arbitrate", {"marks": marks(3), "recommended_eur": None, "reason": "Voilà."}),
    ]:
        answer = await review.ask(who, method, address, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict"), (method, address)


async def test_marks_are_kept_as_history(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben")
    await review.declare("ana", dossier)
    versions = [
        (await review.done("ana", "PUT", f"/applications/{dossier.id}/evaluation", evaluation(value)))["version"]
        for value in (1, 2, 2, 1)
    ]
    assert versions == [1, 2, 2, 3]
    rows = await review.rows(
        "SELECT content #>> '{marks,relevance,value}' AS v FROM evaluation_version ORDER BY version"
    )
    assert [row["v"] for row in rows] == ["1", "2", "1"]
    with pytest.raises(Exception, match=r"append-only|permission denied"):
        await review.rows("DELETE FROM evaluation_version RETURNING version")


async def test_every_wrong_field_of_an_evaluation_is_named_at_once(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben")
    await review.declare("ana", dossier)
    path = f"/applications/{dossier.id}/evaluation"

    async def wrong(body: object) -> list[str]:
        answer = await review.ask("ana", "PUT", path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
        return sorted(error["field"] for error in answer.json()["errors"])

    broken = evaluation(3, recommended_eur=30_001)
    broken["marks"]["relevance"]["reason"] = " "
    broken["marks"]["charm"] = {"value": 1, "reason": "x"}
    assert await wrong(broken) == ["marks.charm", "marks.relevance.reason", "recommended_eur"]
    assert await wrong(evaluation(None)) == ["marks"]
    assert await wrong(evaluation(6)) == ["marks.inclusion.value", "marks.relevance.value"]
    assert await wrong({**evaluation(3), "recommendation": "maybe"}) == ["recommendation"]
    await review.done("ana", "PUT", path, {**evaluation(3), "marks": {"relevance": marks(3)["relevance"]}})
    answer = await review.ask("ana", "POST", f"{path}/submit")
    assert [error["field"] for error in answer.json()["errors"]] == ["marks.inclusion"]
    assert await review.events("Scored") == []


async def test_a_wide_spread_asks_one_further_reviewer_and_the_closest_count(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben", "cleo")
    await review.evaluate("ana", dossier, 5)
    await review.evaluate("ben", dossier, 2)
    assert await review.events("Scored") == []
    assert (await review.plan())[dossier.id] == ["ana", "ben", "cleo"]
    page = await review.done("cleo", "GET", f"/assignments?call_id={CALL}&round_id={R1}&state=to_declare")
    assert [(item["slot"], item["title"]) for item in page["items"]] == [(3, "Projet 1")]
    await review.evaluate("cleo", dossier, 4)
    (scored,) = await review.events("Scored")
    assert (scored.basis, scored.score, scored.evaluations) == ("further", Decimal("90.00"), 2)


async def test_opinions_that_stay_apart_wait_for_the_chairs_marks(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben", "cleo")
    for who, mark in (("ana", 5), ("ben", 1), ("cleo", 3)):
        await review.evaluate(who, dossier, mark)
    assert (await progress_of(review, dossier))["missing"] == ["arbitration"]
    path = f"/applications/{dossier.id}/arbitrate"
    body = {"marks": marks(4), "recommended_eur": 15_000, "reason": "Le besoin est réel."}
    assert (await review.ask("chair", "POST", path, {**body, "reason": " "})).status_code == 422
    own = await review.ask("cleo", "POST", path, body, roles=["chair"])
    assert own.status_code == 403  # who evaluated does not arbitrate
    first = await review.done("chair", "POST", path, body)
    assert await review.done("chair", "POST", path, body) == first
    (scored,) = await review.events("Scored")
    assert (scored.basis, scored.score, scored.recommended_eur) == ("arbitrated", Decimal("80.00"), 15_000)


async def test_a_hard_conflict_is_replaced_by_the_least_loaded(review: Review) -> None:
    members = dossiers(3)
    await review.planned(a_call(), members, "ana", "ben", "cleo", "dev")
    plan = await review.plan()
    leaving = plan[members[0].id][0]
    loads = {s: sum(s in subjects for subjects in plan.values()) for s in ("ana", "ben", "cleo", "dev")}
    free = [s for s in loads if s not in plan[members[0].id]]
    await review.declare(leaving, members[0], "hard")
    expected = min(free, key=lambda s: (loads[s], s))
    assert (await review.plan())[members[0].id] == [plan[members[0].id][1], expected]
    page = await review.done(leaving, "GET", "/assignments?state=conflict")
    assert [item["application_id"] for item in page["items"]] == [members[0].id]
    (slot,) = await review.rows(
        "SELECT slot FROM assignment WHERE application_id = CAST(:id AS uuid) AND subject = :subject",
        id=members[0].id, subject=expected,
    )  # fmt: skip
    assert slot == {"slot": 3}


async def test_a_soft_conflict_waits_for_the_waiver_or_for_somebody_else(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben", "cleo")
    await review.declare("ana", dossier, "soft")
    answer = await review.ask("ana", "PUT", f"/applications/{dossier.id}/evaluation", evaluation(3))
    assert answer.status_code == 409
    assert (await progress_of(review, dossier))["missing"] == ["evaluations", "waiver"]
    own = await review.ask(
        "ana", "POST", f"/applications/{dossier.id}/waive", {"subject": "ana", "reason": "x"}, roles=["chair"]
    )
    assert own.status_code == 403
    body = {"subject": "cleo", "reason": "Plutôt quelqu'un d'autre."}
    given = await review.done("chair", "POST", f"/applications/{dossier.id}/assignments", body)
    assert given["slot"] == 3
    assert await review.done("chair", "POST", f"/applications/{dossier.id}/assignments", body) == given
    assert (await review.plan())[dossier.id] == ["ben", "cleo"]


async def test_when_nobody_is_eligible_progress_shows_it_and_a_new_reviewer_takes_it(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben")
    await review.declare("ana", dossier, "hard")
    item = await progress_of(review, dossier)
    assert (item["state"], item["missing"], item["lacking"]) == ("to_assign", ["reviewers", "evaluations"], 1)
    path = f"/applications/{dossier.id}/assignments"
    for subject, status in (("ana", 409), ("nobody", 422)):
        answer = await review.ask("chair", "POST", path, {"subject": subject, "reason": "Il manque quelqu'un."})
        assert answer.status_code == status
    await review.list_reviewers("ana", "ben", "cleo")
    assert (await review.plan())[dossier.id] == ["ben", "cleo"]
    again = await review.done("chair", "POST", path, {"subject": "cleo", "reason": "Il manque quelqu'un."})
    assert again["slot"] == 3


async def test_a_late_conflict_voids_the_score_and_a_further_reviewer_makes_another(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben", "cleo")
    await review.evaluate("ana", dossier, 4)
    await review.evaluate("ben", dossier, 4)
    await review.declare("ben", dossier, "hard")
    (voided,) = await review.events("ScoreVoided")
    assert (voided.revision, voided.application_id) == (1, dossier.id)
    assert (await review.plan())[dossier.id] == ["ana", "cleo"]
    await review.evaluate("cleo", dossier, 5)
    scored = await review.events("Scored")
    assert [(each.revision, each.score) for each in scored] == [(1, Decimal("80.00")), (2, Decimal("90.00"))]


async def test_a_late_conflict_that_leaves_enough_is_recomputed_at_once(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben", "cleo")
    for who, mark in (("ana", 5), ("ben", 2), ("cleo", 4)):
        await review.evaluate(who, dossier, mark)
    await review.declare("ben", dossier, "hard")
    said = await review.events("Scored", "ScoreVoided")
    assert [(type(each).__name__, each.revision) for each in said] == [
        ("Scored", 1), ("ScoreVoided", 1), ("Scored", 2),
    ]  # fmt: skip
    assert said[-1].basis == "agreed"


async def test_a_late_conflict_undoes_an_arbitration_that_rested_on_it(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben", "cleo", "dev")
    for who, mark in (("ana", 5), ("ben", 1), ("cleo", 3)):
        await review.evaluate(who, dossier, mark)
    body = {"marks": marks(4), "recommended_eur": None, "reason": "Le besoin est réel."}
    await review.done("chair", "POST", f"/applications/{dossier.id}/arbitrate", body)
    await review.declare("cleo", dossier, "hard")
    await review.evaluate("dev", dossier, 3)
    assert (await progress_of(review, dossier))["state"] == "to_arbitrate"
    await review.done("chair", "POST", f"/applications/{dossier.id}/arbitrate", body)
    assert [(each.revision, each.basis) for each in await review.events("Scored")] == [
        (1, "arbitrated"), (2, "arbitrated"),
    ]  # fmt: skip


async def test_a_late_soft_conflict_counts_again_after_a_waiver_and_a_new_submission(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben", "cleo")
    await review.evaluate("ana", dossier, 4)
    await review.evaluate("ben", dossier, 4)
    await review.declare("ben", dossier, "soft")
    assert len(await review.events("ScoreVoided")) == 1
    await review.done("chair", "POST", f"/applications/{dossier.id}/waive", {"subject": "ben", "reason": "Ancien."})
    await review.done("ben", "POST", f"/applications/{dossier.id}/evaluation/submit")
    assert [each.revision for each in await review.events("Scored")] == [1, 2]


async def needed(review: Review, who: str, path: str) -> bool:
    """Whether a reviewer is told that their only application still waits for them, in their list as on its page."""
    (listed,) = (await review.done(who, "GET", "/assignments"))["items"]
    assert listed["needed"] is (await review.done(who, "GET", path))["needed"]
    return bool(listed["needed"])


@pytest.mark.parametrize("waived_before", [True, False])
async def test_a_standing_score_needs_no_evaluation_of_who_had_a_soft_conflict_meanwhile(
    review: Review, waived_before: bool
) -> None:
    dossier = await an_application(review, "ana", "ben", "cleo")
    for who, mark in (("ana", 1), ("ben", 5)):
        await review.evaluate(who, dossier, mark)
    path, waiver = f"/applications/{dossier.id}", {"subject": "ana", "reason": "Ancien."}
    await review.declare("ana", dossier, "soft")
    if waived_before:
        await review.done("chair", "POST", f"{path}/waive", waiver)
    assert await needed(review, "ana", path) is waived_before
    await review.evaluate("cleo", dossier, 5)
    assert not await needed(review, "ana", path)
    late = [("ana", "POST", f"{path}/evaluation/submit", None), ("ana", "PUT", f"{path}/evaluation", evaluation(2))]
    if not waived_before:
        late.append(("chair", "POST", f"{path}/waive", waiver))
    for each in late:
        answer = await review.ask(*each)
        assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
        assert "score" in answer.json()["detail"]
    assert [each.revision for each in await review.events("Scored")] == [1]


async def test_a_removed_reviewers_open_places_go_to_others_and_submitted_evaluations_stay(review: Review) -> None:
    members = dossiers(2)
    await review.planned(a_call(), members, "ana", "ben")
    await review.evaluate("ben", members[0], 4)
    await review.list_reviewers("ana", "cleo")
    assert await review.plan() == {members[0].id: ["ana", "ben"], members[1].id: ["ana", "cleo"]}
    await review.evaluate("ana", members[0], 4)
    assert len(await review.events("Scored")) == 1
    assert (await review.ask("ben", "GET", "/assignments")).status_code == 403
    assert (await review.ask("ben", "GET", f"/applications/{members[0].id}")).status_code == 403


async def test_a_reviewer_who_joins_the_applicants_organisation_loses_its_application(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben", "cleo")
    await review.list_reviewers("ana", "ben", "cleo", ben=[dossier.submitted().organisation.siret[:9]])
    assert (await review.plan())[dossier.id] == ["ana", "cleo"]


async def test_the_last_two_evaluations_at_once_give_one_score(review: Review) -> None:
    members = dossiers(5)
    await review.planned(a_call(), members, "ana", "ben")
    for each in members:
        for who in ("ana", "ben"):
            await review.declare(who, each)
            await review.done(who, "PUT", f"/applications/{each.id}/evaluation", evaluation(4))
    submits = [(who, "POST", f"/applications/{m.id}/evaluation/submit") for m in members for who in ("ana", "ben")]
    await asyncio.gather(*(review.done(*submit) for submit in submits))
    assert sorted(each.application_id for each in await review.events("Scored")) == sorted(m.id for m in members)


async def test_a_withdrawn_application_is_not_evaluated_and_nothing_is_said_of_it(review: Review) -> None:
    dossier = await an_application(review, "ana", "ben")
    await review.evaluate("ana", dossier, 4)
    await review.declare("ben", dossier)
    await review.done("ben", "PUT", f"/applications/{dossier.id}/evaluation", evaluation(4))
    await review.receive(dossier.withdrawn())
    answer = await review.ask("ben", "POST", f"/applications/{dossier.id}/evaluation/submit")
    assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
    late = {"kind": "hard", "reason": "Un lien."}
    assert (await review.ask("ana", "POST", f"/applications/{dossier.id}/conflict", late)).status_code == 409
    assert await review.events("Scored", "ScoreVoided") == []
