"""What leaks: to reviewers before they declare or submit, in blind calls, to who is not listed; and bad input."""

import pytest

from shared.ids import new_id
from tests.builders_review import CALL, R1, Dossier, Review, a_call, a_rubric, dossiers, evaluation, published

SECRETS = ("secr", "objets/", "Grand Est", "applicant", "siret", "pdf")
"""Words that tell who applies."""


async def page_of(review: Review, who: str, dossier: Dossier) -> str:
    answer = await review.ask(who, "GET", f"/applications/{dossier.id}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def planned(review: Review, *, blind: bool = False) -> Dossier:
    dossier = Dossier(1, partner_siret="00000077700012")
    await review.planned(a_call(rubric=a_rubric(blind=blind)), [dossier], "ana", "ben")
    return dossier


async def test_a_reviewer_sees_only_the_title_before_declaring(review: Review) -> None:
    dossier = await planned(review)
    shown = await review.done("ana", "GET", f"/applications/{dossier.id}")
    assert set(shown) == {
        "application_id", "reference", "call_id", "round_id", "title", "slot", "state", "needed", "conflict",
    }  # fmt: skip
    assert (shown["title"], shown["state"], shown["slot"]) == ("Projet 1", "to_declare", 1)
    (item,) = (await review.done("ana", "GET", "/assignments"))["items"]
    assert set(item) == {
        "application_id", "reference", "call_id", "round_id", "title", "slot", "state", "assigned_at", "needed",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["soft", "hard"])
async def test_a_declared_conflict_keeps_the_application_closed(review: Review, kind: str) -> None:
    dossier = await planned(review)
    await review.declare("ana", dossier, kind)
    page = await page_of(review, "ana", dossier)
    assert "Résumé" not in page
    assert not any(secret in page for secret in SECRETS)


async def test_a_late_conflict_closes_it_again(review: Review) -> None:
    dossier = await planned(review)
    await review.evaluate("ana", dossier, 3)
    await review.evaluate("ben", dossier, 3)
    assert "evaluations" in await page_of(review, "ana", dossier)
    await review.declare("ana", dossier, "hard")
    page = await page_of(review, "ana", dossier)
    assert "Résumé" not in page
    assert "marks" not in page


async def test_a_blind_call_hides_who_applies_at_every_door_of_a_reviewer(review: Review) -> None:
    dossier = await planned(review, blind=True)
    pages = []
    for act in (lambda: review.declare("ana", dossier), lambda: review.evaluate("ana", dossier, 3)):
        await act()
        pages += [await page_of(review, "ana", dossier), (await review.ask("ana", "GET", "/assignments")).text]
    assert "Résumé 1" in pages[0]
    for page in pages:
        assert not any(secret in page for secret in SECRETS), page
    assert "École secrète 1" in await page_of(review, "officer", dossier)


async def test_an_open_call_shows_who_applies_after_declaring(review: Review) -> None:
    dossier = await planned(review)
    await review.declare("ana", dossier)
    page = await page_of(review, "ana", dossier)
    assert "École secrète 1" in page
    assert "Partenaire secret" in page


async def test_others_marks_and_even_their_number_show_only_after_ones_own_submission(review: Review) -> None:
    dossier = await planned(review)
    await review.declare("ana", dossier)
    await review.declare("ben", dossier)
    before = await page_of(review, "ben", dossier)
    await review.evaluate("ana", dossier, 5)
    assert await page_of(review, "ben", dossier) == before
    await review.done("ben", "PUT", f"/applications/{dossier.id}/evaluation", evaluation(3))
    draft = await review.done("ben", "GET", f"/applications/{dossier.id}")
    assert "evaluations" not in draft
    assert draft["evaluation"]["marks"]["relevance"]["value"] == 3
    await review.done("ben", "POST", f"/applications/{dossier.id}/evaluation/submit")
    shown = await review.done("ben", "GET", f"/applications/{dossier.id}")
    (other,) = shown["evaluations"]
    assert (other["slot"], other["marks"]["relevance"]["value"], other["score"]) == (1, 5, "100.00")
    assert "ana" not in str(other)


async def test_marks_in_the_making_are_their_reviewers_only(review: Review) -> None:
    dossier = await planned(review)
    await review.declare("ana", dossier)
    body = evaluation(1)
    body["comment"] = "Encore un brouillon."
    await review.done("ana", "PUT", f"/applications/{dossier.id}/evaluation", body)
    for who in ("chair", "officer", "ben"):
        assert "brouillon" not in await page_of(review, who, dossier)


async def test_a_chair_who_also_reviews_sees_as_a_reviewer(review: Review) -> None:
    dossier = await planned(review)
    await review.evaluate("ben", dossier, 5)
    answer = await review.ask("ana", "GET", f"/applications/{dossier.id}", roles=["chair", "reviewer"])
    assert "evaluations" not in answer.json()
    assert "organisation" not in answer.json()


async def test_the_chair_sees_places_evaluations_and_the_score(review: Review) -> None:
    dossier = await planned(review)
    await review.evaluate("ana", dossier, 4)
    await review.evaluate("ben", dossier, 5)
    shown = await review.done("chair", "GET", f"/applications/{dossier.id}")
    assert [(each["slot"], each["subject"], each["state"]) for each in shown["assignments"]] == [
        (1, "ana", "done"), (2, "ben", "done"),
    ]  # fmt: skip
    assert [each["score"] for each in shown["evaluations"]] == ["80.00", "100.00"]
    assert (shown["score"]["revision"], shown["score"]["score"]) == (1, "90.00")
    officer = await review.done("officer", "GET", f"/applications/{dossier.id}")
    assert "evaluations" not in officer
    assert officer["admissibility"]["outcome"] == "admitted"


async def test_who_is_not_listed_or_not_assigned_gets_403(review: Review) -> None:
    dossier = await planned(review)
    await review.list_reviewers("ana", "ben", "cleo")
    path = f"/applications/{dossier.id}"
    doors = [
        ("GET", path, None), ("POST", f"{path}/conflict", {"kind": "none"}),
        ("PUT", f"{path}/evaluation", evaluation(3)), ("POST", f"{path}/evaluation/submit", None),
    ]  # fmt: skip
    for who in ("mallory", "cleo"):
        for method, address, body in doors:
            answer = await review.ask(who, method, address, body)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await review.ask("mallory", "GET", "/assignments")).status_code == 403
    assert (await review.ask("cleo", "GET", "/assignments?call_id=other")).status_code == 403
    assert (await review.done("cleo", "GET", "/assignments"))["items"] == []


@pytest.mark.parametrize(
    ("role", "method", "door"),
    [
        ("reviewer", "PUT", f"/calls/{CALL}/reviewers"), ("officer", "PUT", f"/calls/{CALL}/reviewers"),
        ("reviewer", "GET", f"/rounds/{R1}/progress"), ("support", "GET", f"/rounds/{R1}/progress"),
        ("chair", "POST", "/applications/{id}/admissibility"), ("officer", "POST", "/applications/{id}/waive"),
        ("officer", "POST", "/applications/{id}/arbitrate"), ("reviewer", "POST", "/applications/{id}/assignments"),
        ("officer", "POST", "/applications/{id}/conflict"), ("chair", "PUT", "/applications/{id}/evaluation"),
        ("officer", "GET", "/assignments"), ("support", "GET", "/applications/{id}"),
    ],
)  # fmt: skip
async def test_each_door_has_its_role(review: Review, role: str, method: str, door: str) -> None:
    dossier = await planned(review)
    answer = await review.ask("somebody", method, door.format(id=dossier.id), roles=[role])
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_what_is_unknown_is_404(review: Review) -> None:
    await planned(review)
    for who, method, path, body, code in [
        ("officer", "GET", f"/applications/{new_id()}", None, "application_unknown"),
        ("officer", "GET", "/applications/nothing", None, "application_unknown"),
        ("ana", "POST", f"/applications/{new_id()}/conflict", {"kind": "none"}, "application_unknown"),
        ("chair", "PUT", "/calls/other/reviewers", [], "call_unknown"),
        ("chair", "GET", "/rounds/other/progress", None, "round_unknown"),
    ]:
        answer = await review.ask(who, method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (404, code)


async def test_a_command_whose_call_has_not_arrived_is_worth_a_retry(review: Review) -> None:
    (dossier,) = dossiers(1)
    await review.receive(dossier.submitted())
    body = {"checks": {"public": True}}
    answer = await review.ask("officer", "POST", f"/applications/{dossier.id}/admissibility", body)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    await review.receive(published(a_call()))
    await review.admit(dossier)


async def test_a_list_of_reviewers_names_every_wrong_field(review: Review) -> None:
    await review.receive(published(a_call()))
    ana = {"subject": "ana", "organisations": [], "themes": ["charm"]}
    answer = await review.ask("chair", "PUT", f"/calls/{CALL}/reviewers", [ana, {**ana, "themes": []}])
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [
        ("0.themes", "theme_unknown"), ("1.subject", "validation_failed"),
    ]  # fmt: skip
    for no_siren in ("123", "١٢٣٤٥٦٧٨٩"):  # digits of another script would match no applicant's SIRET
        answer = await review.ask("chair", "PUT", f"/calls/{CALL}/reviewers", [{**ana, "organisations": [no_siren]}])
        assert [e["field"] for e in answer.json()["errors"]] == ["0.organisations.0"], no_siren


async def test_every_check_must_be_answered_by_a_yes_or_a_no(review: Review) -> None:
    (dossier,) = dossiers(1)
    await review.receive(published(a_call()), dossier.submitted())
    path = f"/applications/{dossier.id}/admissibility"
    for body, fields in [
        ({"checks": {}}, ["checks.public"]),
        ({"checks": {"public": False}}, ["reason"]),
        ({"checks": {"public": False}, "reason": "a\0b"}, ["reason"]),
        ({"checks": {"public": "yes"}}, ["checks.public"]),
        ({"checks": {"public": True, "other": True}}, ["checks.other"]),
    ]:
        answer = await review.ask("officer", "POST", path, body)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == fields
    assert await review.events() == []


async def test_lists_are_pages_of_50(review: Review) -> None:
    members = dossiers(53)
    await review.receive(published(a_call(allocation="rolling")))
    await review.list_reviewers("ana", "ben")
    await review.receive(*(each.submitted() for each in members))
    first = await review.done("officer", "GET", f"/rounds/{R1}/progress")
    rest = await review.done("officer", "GET", f"/rounds/{R1}/progress?after={first['next']}")
    assert [len(page["applications"]) for page in (first, rest)] == [50, 3]
    assert rest["next"] is None
    assert first["counts"] == {"to_check": 53}
    await review.admit(*members)
    first = await review.done("ana", "GET", "/assignments")
    rest = await review.done("ana", "GET", f"/assignments?after={first['next']}")
    seen = [item["application_id"] for page in (first, rest) for item in page["items"]]
    assert sorted(seen) == sorted(each.id for each in members)
    assert rest["next"] is None
