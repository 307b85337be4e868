"""What officers and chairs see and may do over HTTP."""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
import rfc8785

from services.funding.domain.proposal import inputs_document, outcome_document, propose, read_inputs
from shared.ids import new_id
from tests.builders_funding import (
    CALL,
    DECIDES,
    R1,
    R2,
    Funding,
    a_call,
    a_funding,
    a_round,
    closed,
    dossiers,
    published,
)
from tests.databases import Databases
from tests.declared import client_of

GRANT = "0190d5c0-0000-7000-8000-0000000000aa"


@pytest.fixture
async def funding(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    return await a_funding(databases, tmp_path, monkeypatch)


async def confirm(client: httpx.AsyncClient, round_id: str, proposal: str) -> tuple[int, dict[str, Any]]:
    answer = await client.post(f"/rounds/{round_id}/decision", json={"proposal": proposal})
    return answer.status_code, answer.json()


async def current(client: httpx.AsyncClient, round_id: str = R1) -> dict[str, Any]:
    ranking: dict[str, Any] = (await client.get(f"/rounds/{round_id}/ranking")).json()
    return ranking


async def test_only_officers_and_chairs_come_in(funding: Funding) -> None:
    grant = new_id()
    async with funding.staff("reviewer-01", "reviewer") as client:
        answers = [
            await client.get(f"/calls/{CALL}/budget"),
            await client.get(f"/rounds/{R1}/ranking"),
            await client.post(f"/rounds/{R1}/decision", json={"proposal": grant}),
            await client.post(f"/grants/{grant}/revoke", json={"reason": "x"}),
        ]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(403, "forbidden")] * 4
    async with client_of(funding.app(), "http://funding") as nobody:
        assert (await nobody.get(f"/api/v1/calls/{CALL}/budget")).status_code == 401


async def test_what_is_not_known_is_told_by_its_code(funding: Funding) -> None:
    await funding.receive(published(a_call()))
    nothing = new_id()
    async with funding.staff() as client:
        answers = [
            await client.get("/calls/other/budget"),
            await client.get("/calls/other/ledger"),
            await client.get("/calls/other/grants"),
            await client.get("/rounds/other/ranking"),
            await client.post("/rounds/other/proposal", json={}),
            await client.post("/rounds/other/decision", json={"proposal": nothing}),
            await client.post(f"/rounds/{R1}/decision", json={"proposal": nothing}),
            await client.get(f"/proposals/{nothing}"),
            await client.post(f"/grants/{nothing}/complete", json={"completed_on": "2030-01-01"}),
        ]
        conflict = await client.post(f"/rounds/{R1}/proposal", json={"moves": []})
    assert [a.json()["code"] for a in answers] == [
        "call_unknown", "call_unknown", "call_unknown", "round_unknown", "round_unknown", "round_unknown",
        "proposal_unknown", "proposal_unknown", "grant_unknown",
    ]  # fmt: skip
    assert {a.status_code for a in answers} == {404}
    assert (conflict.status_code, conflict.json()["code"]) == (409, "state_conflict")
    assert await funding.value("SELECT count(*) FROM call") == 1


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (f"/rounds/{R1}/decision", {"proposal": "first"}, "proposal"),
        (f"/rounds/{R1}/proposal", {"moves": [{"application_id": "x", "before": "y", "reason": ""}]}, "moves.0.before"),
        (f"/grants/{GRANT}/convention", {"signed_on": "yesterday"}, "signed_on"),
        (f"/grants/{GRANT}/convention", {"signed_on": "1906545600"}, "signed_on"),
        (f"/grants/{GRANT}/complete", {"completed_on": 0}, "completed_on"),
        (f"/grants/{GRANT}/revoke", {"reason": "  "}, "reason"),
        (f"/grants/{GRANT}/revoke", {"reason": "a\0b"}, "reason"),
        (f"/grants/{GRANT}/revoke", {"reason": "x", "amount": 1}, "amount"),
    ],
)
async def test_a_wrong_body_names_every_field(funding: Funding, path: str, body: dict[str, Any], field: str) -> None:
    async with funding.staff() as client:
        answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert field in {error["field"] for error in answer.json()["errors"]}


async def test_where_a_second_person_is_wanted_one_is_not_enough(funding: Funding) -> None:
    members = dossiers(2)
    await funding.receive(published(a_call(second_person=True)), *(m.submitted() for m in members), closed(members))
    await funding.receive(*(m.scored("80") for m in members))
    async with funding.staff("officer") as one, funding.staff("officer-2") as two:
        proposal = (await current(one))["proposal"]["id"]
        first = await confirm(one, R1, proposal)
        assert (first[0], first[1]["status"]) == (200, "awaiting_second")
        assert await confirm(one, R1, proposal) == first
        assert (await current(one))["status"] == "awaiting_second"
        assert await funding.events("RoundDecided", "GrantAwarded") == []
        decided = await confirm(two, R1, proposal)
        assert (decided[1]["status"], decided[1]["proposal"]["confirmed_by"]) == ("decided", "officer-2")
        assert await confirm(two, R1, proposal) == decided
        assert await confirm(one, R1, proposal) == decided
    assert len(await funding.events("RoundDecided")) == 1


async def test_what_changed_since_makes_a_proposal_stale(funding: Funding) -> None:
    members = dossiers(3)
    await funding.receive(published(a_call()), *(m.submitted() for m in members), closed(members))
    await funding.receive(*(m.scored("80") for m in members))
    changes = [
        members[0].scored("90", revision=2), members[2].withdrawn(), published(a_call(version=2)),
        published(a_call(version=3, envelope_eur=120_000)),
    ]  # fmt: skip
    async with funding.staff() as client:
        for change in changes:
            proposal = (await client.post(f"/rounds/{R1}/proposal", json={})).json()["id"]
            await funding.receive(change)
            assert (await current(client))["stale"] is True
            status, problem = await confirm(client, R1, proposal)
            assert (status, problem["code"]) == (409, "proposal_stale")
        newest = (await client.post(f"/rounds/{R1}/proposal", json={})).json()["id"]
        assert (await client.post(f"/rounds/{R1}/proposal", json={"moves": []})).json()["id"] == newest
        assert (await confirm(client, R1, newest))[0] == 200
        assert (await client.post(f"/rounds/{R1}/proposal", json={"moves": []})).json()["id"] == newest
    assert await funding.outcomes(members) == ["awarded", "awarded", "none"]


async def test_rounds_are_decided_in_the_order_in_which_they_close(funding: Funding) -> None:
    first, second = dossiers(1), dossiers(1, round_id=R2)
    call = a_call(rounds=[a_round(R1), a_round(R2, 1)])
    await funding.receive(published(call), first[0].submitted(), second[0].submitted(), closed(second, R2))
    await funding.receive(second[0].scored("80"))
    async with funding.staff() as client:
        status, problem = await confirm(client, R2, (await current(client, R2))["proposal"]["id"])
    assert (status, problem["code"]) == (409, "state_conflict")
    assert R1 in problem["detail"]


async def test_the_ranking_draws_the_line_and_explains_ties(funding: Funding) -> None:
    members = dossiers(5)
    await funding.receive(published(a_call()), *(m.submitted() for m in members), closed(members))
    await funding.receive(
        members[0].scored("80", inclusion="3.5"), members[1].scored("80"), members[2].scored("80"),
        members[3].scored("90", recommended_eur=20_000), members[4].scored("59"),
    )  # fmt: skip
    async with funding.staff() as client:
        ranking = await current(client)
    lines = ranking["lines"]
    assert [line["reference"][-1] for line in lines] == ["4", "2", "3", "1", "5"]
    assert [line["told_apart_by"] for line in lines] == [None, None, "submitted_at", "inclusion", None]
    assert [line["running_eur"] for line in lines] == [20_000, 50_000, 80_000, 110_000, 110_000]
    assert [line["outcome"] for line in lines] == ["awarded", "awarded", "awarded", "waitlisted", "not_selected"]
    assert (ranking["status"], ranking["line_after_rank"], ranking["next"]) == ("ready", 3, None)
    assert lines[3]["means"] == {"relevance": "4", "inclusion": "3.5"}
    assert (lines[0]["score"], lines[0]["claim_eur"], lines[0]["requested_eur"]) == ("90.00", 20_000, 30_000)


async def test_what_if_shows_other_values_and_writes_nothing(funding: Funding) -> None:
    members = dossiers(4)
    await funding.receive(published(a_call()), *(m.submitted() for m in members), closed(members))
    await funding.receive(*(m.scored(s) for m, s in zip(members, ["90", "80", "70", "65"], strict=True)))
    count = "SELECT count(*) FROM (SELECT 1 FROM proposal UNION ALL SELECT 1 FROM ledger_entry UNION ALL"
    count += " SELECT 1 FROM outbox) AS written"
    before = await funding.value(count)

    async def what_if(**query: Any) -> tuple[int, int, int]:
        async with funding.staff() as client:
            seen = (await client.get(f"/rounds/{R1}/ranking", params=query)).json()
        assert seen["status"] == "what_if"
        return seen["awarded"], seen["waitlisted"], seen["not_selected"]

    assert await what_if(envelope_eur=60_000) == (2, 2, 0)
    assert await what_if(pass_mark="75") == (2, 0, 2)
    assert await what_if(weights="relevance:1,inclusion:0", envelope_eur=1_000_000) == (4, 0, 0)
    assert await funding.value(count) == before
    funding.at(DECIDES)
    await funding.decide()
    assert await what_if(envelope_eur=60_000) == (2, 2, 0)
    async with funding.staff() as client:
        for field, value in (("weights", "relevance"), ("weights", "relevence:3"), ("pas_mark", "75")):
            wrong = await client.get(f"/rounds/{R1}/ranking", params={field: value})
            assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, field), value


async def test_a_chairs_moves_are_kept_with_their_reasons(funding: Funding) -> None:
    members = dossiers(4)
    await funding.receive(published(a_call()), *(m.submitted() for m in members), closed(members))
    await funding.receive(*(m.scored(s) for m, s in zip(members, ["90", "80", "70", "65"], strict=True)))
    move = {"application_id": members[3].id, "before": members[0].id, "reason": "the jury insists"}
    async with funding.staff("chair", "chair") as chair:
        made = (await chair.post(f"/rounds/{R1}/proposal", json={"moves": [move]})).json()
        assert (made["made_by"], made["moves"]) == ("chair", [move])
        nobody = await chair.post(f"/rounds/{R1}/proposal", json={"moves": [move | {"before": new_id()}]})
        assert (nobody.status_code, nobody.json()["errors"][0]["field"]) == (422, "moves.0")
        assert (await current(chair))["lines"][0]["told_apart_by"] is None
        assert (await current(chair))["lines"][1]["told_apart_by"] == "move"
        assert (await confirm(chair, R1, made["id"]))[0] == 200
    assert await funding.outcomes(members) == ["awarded", "awarded", "waitlisted", "awarded"]


async def test_anybody_entitled_can_compute_a_decision_again(funding: Funding) -> None:
    await funding.decided(a_call(), dossiers(5), ["61", "95", "59", "80", "80"])
    (event,) = await funding.events("RoundDecided")
    async with funding.staff() as client:
        proposal = (await current(client))["proposal"]["id"]
        documents = (await client.get(f"/proposals/{proposal}")).json()
    assert hashlib.sha256(rfc8785.dumps(documents["inputs"])).hexdigest() == event.inputs_sha256
    again = read_inputs(documents["inputs"])
    assert rfc8785.dumps(inputs_document(again)) == rfc8785.dumps(documents["inputs"])
    computed = rfc8785.dumps(outcome_document(propose(again)))
    assert hashlib.sha256(computed).hexdigest() == event.outcome_sha256


async def test_budget_ledger_and_grants_come_a_page_at_a_time(funding: Funding) -> None:
    members = dossiers(60, requested_eur=10_000)
    await funding.decided(a_call(envelope_eur=600_000), members, ["80"] * 60)
    async with funding.staff() as client:
        budget = (await client.get(f"/calls/{CALL}/budget")).json()
        ledger = (await client.get(f"/calls/{CALL}/ledger")).json()
        rest = (await client.get(f"/calls/{CALL}/ledger", params={"after": ledger["next"]})).json()
        grants = (await client.get(f"/calls/{CALL}/grants")).json()
        others = (await client.get(f"/calls/{CALL}/grants", params={"after": grants["next"]})).json()
        one = (await client.get(f"/calls/{CALL}/grants", params={"application_id": members[7].id})).json()
        ranking = await current(client)
        last = (await client.get(f"/rounds/{R1}/ranking", params={"after": ranking["next"]})).json()
    assert (budget["envelope_eur"], budget["reserved_eur"], budget["last_entry"]) == (600_000, 600_000, 61)
    assert [e["number"] for e in ledger["entries"] + rest["entries"]] == list(range(1, 62))
    assert rest["next"] is None
    entry = ledger["entries"][1]
    assert (entry["kind"], entry["who"], entry["why"]) == ("reserve", "officer", f"decision of {R1}")
    assert len({g["grant_id"] for g in grants["grants"] + others["grants"]}) == 60
    assert [(g["application_id"], g["state"]) for g in one["grants"]] == [(members[7].id, "awarded")]
    assert [line["rank"] for line in ranking["lines"] + last["lines"]] == list(range(1, 61))
