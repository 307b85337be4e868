"""The deposit of an application over HTTP: what is told, what is stored, and what is refused with nothing stored."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.intake.app import open_desk
from shared.events.intake import ApplicationSubmitted, ContactUpdated
from tests.builders_intake import CLOSES, GRACE, OPEN, R1, R2, SUBMISSION, IntakeBench, submission
from tests.databases import Databases


@pytest.fixture
async def intake(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IntakeBench:
    bench = await IntakeBench.start(databases, tmp_path, monkeypatch)
    await bench.opened()
    return bench


def fields(problem: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["field"], each["code"]) for each in problem["errors"]}


async def nothing_is_stored(intake: IntakeBench) -> bool:
    tables = ("application", "applicant", "idempotency", "fact")
    counts = [await intake.count(table) for table in tables]
    return counts == [0, 0, 0, 0] and await intake.said(ApplicationSubmitted) == []


async def test_a_deposit_is_answered_stored_and_told(intake: IntakeBench) -> None:
    answer = await intake.submit()
    receipt = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert receipt["reference"] == "INNO-2021-0001"
    assert receipt["status"] == "submitted"
    assert receipt["submitted_at"] == "2021-06-14T08:05:00Z"
    assert receipt["status_url"].startswith(f"http://releve.example.org/applications/{receipt['application_id']}")
    [submitted] = await intake.said(ApplicationSubmitted)
    assert (submitted.application_id, submitted.reference) == (receipt["application_id"], "INNO-2021-0001")
    assert (submitted.round_id, submitted.call_version, submitted.submitted_at) == (R1, 1, OPEN)
    assert submitted.organisation.siret == "00000101600013"
    assert submitted.project.requested_eur == 35000
    [contact] = await intake.said(ContactUpdated)
    assert (contact.applicant_id, contact.email) == (submitted.applicant_id, "rachida.esteve@ecole.example.org")


async def test_what_is_told_to_others_names_no_person(intake: IntakeBench) -> None:
    await intake.submit()
    [submitted] = await intake.said(ApplicationSubmitted)
    told = submitted.model_dump_json()
    assert "Rachida" not in told
    assert "rachida" not in told


async def test_references_count_up_without_a_gap(intake: IntakeBench) -> None:
    await asyncio.gather(*(intake.submit(submission(contact__email=f"a{n}@example.org")) for n in range(8)))
    await intake.submit(submission(project__requested_eur=1))
    await intake.deposited()
    told = [each.reference for each in await intake.said(ApplicationSubmitted)]
    assert told == [f"INNO-2021-{n:04d}" for n in range(1, 10)]


BAD: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "too little": ({"project__requested_eur": 9999}, {("project.requested_eur", "amount_out_of_bounds")}),
    "too much": ({"project__requested_eur": 40001}, {("project.requested_eur", "amount_out_of_bounds")}),
    "no theme": ({"project__themes": []}, {("project.themes", "theme_missing")}),
    "themes left out": ({"project__themes": None}, {("project.themes", "theme_missing")}),
    "unknown theme": ({"project__themes": ["pedagogy", "x"]}, {("project.themes", "theme_unknown")}),
    "wrong SIRET": ({"organisation__siret": "12345678901234"}, {("organisation.siret", "siret_invalid")}),
    "short SIRET": ({"organisation__siret": "1234"}, {("organisation.siret", "siret_invalid")}),
    "kind": ({"organisation__kind": "bank"}, {("organisation.kind", "kind_not_allowed")}),
    "no partner": (
        {"organisation__kind": "structure_in_partnership"},
        {("organisation.partner", "partner_missing")},
    ),
    "wrong SIRET of the partner": (
        {"organisation__partner": {"name": "Greta", "siret": "00000101600014"}},
        {("organisation.partner.siret", "siret_invalid")},
    ),
    "ends too late": ({"project__ends_on": "2023-01-01"}, {("project.ends_on", "dates_outside_calendar")}),
    "starts after its end": ({"project__starts_on": "2022-12-01"}, {("project.starts_on", "dates_outside_calendar")}),
    "starts before the call opens": (
        {"project__starts_on": "0001-01-01"},
        {("project.starts_on", "dates_outside_calendar")},
    ),
    "not declared": (
        {"declarations__not_in_labelled_use": False},
        {("declarations.not_in_labelled_use", "declaration_missing")},
    ),
    "declaration left out": ({"declarations": None}, {("declarations.not_in_labelled_use", "declaration_missing")}),
    "address": ({"contact__email": "nobody"}, {("contact.email", "email_invalid")}),
    "no address": ({"contact__email": None}, {("contact.email", "validation_failed")}),
    "title": ({"project__title": "x" * 301}, {("project.title", "text_too_long")}),
    "answer": ({"project__answers": {"means": "x" * 2001}}, {("project.answers.means", "text_too_long")}),
    "unknown question": ({"project__answers": {"why": "x"}}, {("project.answers.why", "validation_failed")}),
    "unknown public": ({"project__publics": ["x"]}, {("project.publics", "validation_failed")}),
    "text for a number": ({"project__requested_eur": "beaucoup"}, {("project.requested_eur", "validation_failed")}),
    "digits in quotes": ({"project__requested_eur": "35000"}, {("project.requested_eur", "validation_failed")}),
    "cents": ({"project__requested_eur": 35000.5}, {("project.requested_eur", "validation_failed")}),
    "truth for a number": ({"project__requested_eur": True}, {("project.requested_eur", "validation_failed")}),
    "number for text": ({"project__title": 7}, {("project.title", "validation_failed")}),
    "no day": ({"project__starts_on": "2021-02-30"}, {("project.starts_on", "validation_failed")}),
    "seconds for a day": ({"project__starts_on": "1638316800"}, {("project.starts_on", "validation_failed")}),
    "an instant for a day": ({"project__ends_on": "2022-11-30T00:00:00"}, {("project.ends_on", "validation_failed")}),
    "character 0": ({"project__summary": "a\0b"}, {("project.summary", "validation_failed")}),
    "line break in a name": ({"contact__name": "a\r\nBcc: b"}, {("contact.name", "validation_failed")}),
    "empty name": ({"organisation__name": "  "}, {("organisation.name", "validation_failed")}),
    "language": ({"contact__language": "de"}, {("contact.language", "validation_failed")}),
    "themes as text": ({"project__themes": "pedagogy"}, {("project.themes", "validation_failed")}),
    "partner as text": ({"organisation__partner": "Greta"}, {("organisation.partner", "validation_failed")}),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_wrong_field_is_named_and_nothing_is_stored(intake: IntakeBench, case: str) -> None:
    changes, expected = BAD[case]
    answer = await intake.submit(submission(**changes))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "validation_failed")
    assert answer.headers["content-type"] == "application/problem+json"
    assert fields(problem) == expected
    assert await nothing_is_stored(intake)


async def test_every_wrong_field_is_told_at_once_shapes_and_rules_together(intake: IntakeBench) -> None:
    answer = await intake.submit(
        submission(
            organisation__siret="1", organisation__kind="structure_in_partnership", contact__email="x@",
            contact__name=3, project__title=None, project__themes=["x"], project__requested_eur=9999,
            project__starts_on="soon", project__ends_on="2023-02-01", declarations__not_in_labelled_use=False,
        )
    )  # fmt: skip
    assert fields(answer.json()) == {
        ("organisation.siret", "siret_invalid"),
        ("organisation.partner", "partner_missing"),
        ("contact.email", "email_invalid"),
        ("contact.name", "validation_failed"),
        ("project.title", "validation_failed"),
        ("project.themes", "theme_unknown"),
        ("project.requested_eur", "amount_out_of_bounds"),
        ("project.starts_on", "validation_failed"),
        ("project.ends_on", "dates_outside_calendar"),
        ("declarations.not_in_labelled_use", "declaration_missing"),
    }
    assert await nothing_is_stored(intake)


@pytest.mark.parametrize("body", [b"{oops", b"", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'"\\ud800"'])
async def test_what_is_not_json_is_malformed(intake: IntakeBench, body: bytes) -> None:
    answer = await intake.submit(body)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_malformed")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400 + ".0", "9" * 5000])
async def test_a_number_that_cannot_be_held_is_refused_wherever_it_stands(intake: IntakeBench, number: str) -> None:
    body = json.dumps(submission() | {"more": "HERE"}).replace('"HERE"', number).encode()
    answer = await intake.submit(body)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_malformed")
    assert await nothing_is_stored(intake)


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'{"contact": 7, "project": []}'])
async def test_json_of_another_shape_is_told_by_field(intake: IntakeBench, body: bytes) -> None:
    answer = await intake.submit(body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert answer.json()["errors"]


async def test_two_megabytes_are_too_large_declared_or_not(intake: IntakeBench) -> None:
    body = json.dumps(submission(project__summary="x" * 2_000_000)).encode()
    declared = await intake.submit(body)

    async def pieces() -> Any:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    url = "/api/v1/calls/innovation-2021/applications"
    counted = await intake.http.post(url, content=pieces(), headers={"Idempotency-Key": "k"})
    elsewhere = await intake.http.post("/api/v1/applications/any/withdraw", content=pieces())
    for answer in (declared, counted, elsewhere):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert answer.json() == declared.json()
    assert await nothing_is_stored(intake)


async def test_a_body_that_never_comes_gives_its_room_back_before_the_round_can_close(intake: IntakeBench) -> None:
    longest_s, intake.desk.longest_s = intake.desk.longest_s, 0.05
    whole = json.dumps(submission()).encode()

    async def half() -> Any:
        yield whole[:100]
        await asyncio.Event().wait()

    url = "/api/v1/calls/innovation-2021/applications"
    for _ in range(2):
        answer = await intake.http.post(url, content=half(), headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "Retry-After" in answer.headers
    assert await nothing_is_stored(intake)
    assert intake.desk._room._held == 0
    intake.desk.longest_s = longest_s
    assert (await intake.submit(whole)).status_code == 201


UNSEEN = ["\u200b", "\u200b\u2060\ufeff", "\u00ad", "\u3164", "\u2800", "\u200e \u200f", "\u0301", "\U000e0041"]


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
async def test_a_text_that_nobody_can_see_is_no_text(intake: IntakeBench, text: str) -> None:
    body = submission(organisation__name=text, contact__name=text, project__title=text, project__summary=text)
    answer = await intake.submit(body)
    assert answer.status_code == 422
    wrong = {(each["field"], each["code"], each["message"]) for each in answer.json()["errors"]}
    unseen = ("validation_failed", "Nothing in this can be seen.")
    fields = ("organisation.name", "contact.name", "project.title", "project.summary")
    assert wrong == {(field, *unseen) for field in fields}
    assert await nothing_is_stored(intake)


async def test_a_text_may_hold_what_nobody_sees_beside_what_is_seen(intake: IntakeBench) -> None:
    family = "Foyer \U0001f468\u200d\U0001f469\u200d\U0001f467"
    answer = await intake.submit(submission(organisation__name=family, project__title="\u0627\u0644\u200c\u062a"))
    assert answer.status_code == 201
    [event] = await intake.said(ApplicationSubmitted)
    assert event.organisation.name == family


@pytest.mark.parametrize("call_id", ["nowhere", "No%00where", "%F0%9F%A6%84"])
async def test_an_unknown_call_is_unknown(intake: IntakeBench, call_id: str) -> None:
    answer = await intake.submit(call_id=call_id)
    assert (answer.status_code, answer.json()["code"]) == (404, "call_unknown")


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_is_needed(intake: IntakeBench, key: str) -> None:
    answer = await intake.submit(key=key)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


async def test_a_closed_call_takes_nothing_and_a_grace_is_kept(intake: IntakeBench) -> None:
    intake.at(CLOSES + GRACE)
    assert (await intake.deposited()).receipt["submitted_at"] == "2021-07-31T22:04:59Z"
    assert [each.round_id for each in await intake.said(ApplicationSubmitted)] == [R1]
    intake.at(CLOSES + GRACE + timedelta(seconds=1))
    await intake.deposited()
    assert [each.round_id for each in await intake.said(ApplicationSubmitted)] == [R1, R2]
    intake.at(CLOSES + timedelta(days=90))
    answer = await intake.submit(submission(project__requested_eur="x"))
    assert (answer.status_code, answer.json()["code"]) == (403, "round_closed")


async def test_a_repeated_key_gets_the_first_answer_again_also_after_the_closing(intake: IntakeBench) -> None:
    first = await intake.submit(key="k")
    again = await intake.submit(key="k")
    written_otherwise = await intake.submit(json.dumps(SUBMISSION, indent=2, sort_keys=True).encode(), key="k")
    intake.at(CLOSES + timedelta(days=200))
    later = await intake.submit(key="k")
    for answer in (again, written_otherwise, later):
        assert (answer.status_code, answer.json()) == (201, first.json())
    assert await intake.count("application") == 1
    assert len(await intake.said(ApplicationSubmitted)) == 1


async def test_a_key_with_another_body_is_refused_whatever_is_wrong_with_it(intake: IntakeBench) -> None:
    await intake.submit(key="k")
    for changes in ({"project__requested_eur": 20000}, {"project__requested_eur": "x"}):
        answer = await intake.submit(submission(**changes), key="k")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await intake.count("application") == 1


async def test_only_a_deposit_is_remembered_and_a_key_belongs_to_its_address(intake: IntakeBench) -> None:
    assert (await intake.submit(submission(project__themes=[]), key="k")).status_code == 422
    assert (await intake.submit(key="k")).status_code == 201
    other = await intake.submit(submission(contact__email="other@example.org"), key="k")
    assert other.json()["reference"] == "INNO-2021-0002"


async def test_one_person_is_one_address_in_any_case_and_is_not_changed_from_outside(intake: IntakeBench) -> None:
    await intake.deposited()
    await intake.deposited(contact__email="Rachida.Esteve@Ecole.example.org", contact__name="Somebody else")
    first, second = await intake.said(ApplicationSubmitted)
    assert first.applicant_id == second.applicant_id
    assert [each.name for each in await intake.said(ContactUpdated)] == ["Rachida Estève"]
    assert await intake.count("applicant") == 1


async def test_neither_address_nor_token_is_kept_with_a_key(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    async with intake.db.transaction() as tx:
        [row] = await tx.fetch_all("SELECT * FROM idempotency")
        rows = await tx.fetch_all("SELECT payload FROM outbox")
        whole = await tx.fetch_value("SELECT a::text FROM application a")
    assert b"example.org" not in bytes(row["address_hmac"])
    token = applicant.receipt["access_token"]
    assert token not in str(dict(row))
    assert token not in whole
    assert all(token.encode() not in each["payload"] for each in rows)


async def test_a_sent_siret_may_be_written_with_spaces(intake: IntakeBench) -> None:
    await intake.deposited(organisation__siret="000 001 016 00013")
    [submitted] = await intake.said(ApplicationSubmitted)
    assert submitted.organisation.siret == "00000101600013"


@pytest.mark.parametrize("limit", [{"submissions_waiting": 3}, {"submissions_bytes": 6000}], ids=str)
async def test_who_finds_the_queue_full_is_told_when_to_come_back_and_is_taken_then(
    intake: IntakeBench, limit: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(intake.runtime.settings, name, value)
    await open_desk(intake.runtime)
    bodies = {f"key-{n}": submission(contact__email=f"a{n}@example.org") for n in range(40)}
    answers = await asyncio.gather(*(intake.submit(body, key) for key, body in bodies.items()))
    turned_away = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {201, 503}
    assert await intake.count("application") == len(answers) - len(turned_away)
    assert {answer.json()["code"] for answer in turned_away} == {"unavailable"}
    # Those turned away together must not come back together.
    assert len({int(answer.headers["retry-after"]) for answer in turned_away} - {0}) > 1
    for key, body in bodies.items():
        assert (await intake.submit(body, key)).status_code == 201
    assert await intake.count("application") == len(bodies)
