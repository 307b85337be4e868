"""Two who act at once on the same money: one wins, the other is told, no euro moves twice."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders_funding import (
    ANNOUNCES,
    DECIDES,
    R1,
    R2,
    Dossier,
    Funding,
    a_call,
    a_funding,
    a_round,
    closed,
    dossiers,
    published,
    recomputed,
)
from tests.databases import Databases

LAPSES = datetime(2030, 4, 1, 22, tzinfo=UTC)
SCORES = ["95", "90", "85", "80", "75", "70"]


@pytest.fixture
async def funding(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    return await a_funding(databases, tmp_path, monkeypatch)


async def confirm(client: httpx.AsyncClient, round_id: str, proposal: str) -> httpx.Response:
    return await client.post(f"/rounds/{round_id}/decision", json={"proposal": proposal})


async def ready(funding: Funding, rounds: int, **changes: Any) -> list[list[Dossier]]:
    """A call with several rounds that wait for their decision."""
    names = [f"atelier-2030-r{number}" for number in range(1, rounds + 1)]
    call = a_call(rounds=[a_round(name, number) for number, name in enumerate(names)], **changes)
    members = [dossiers(4, round_id=name) for name in names]
    await funding.receive(published(call), *(each.submitted() for group in members for each in group))
    await funding.receive(*(closed(group, name) for group, name in zip(members, names, strict=True)))
    await funding.receive(*(each.scored(s) for group in members for each, s in zip(group, SCORES, strict=False)))
    funding.at(DECIDES)
    return members


async def test_two_officers_who_confirm_at_once_decide_once(funding: Funding) -> None:
    await ready(funding, 6, envelope_eur=1_000_000)
    async with funding.staff("officer") as one, funding.staff("officer-2") as two:
        for number in range(1, 7):
            name = f"atelier-2030-r{number}"
            proposal = (await one.post(f"/rounds/{name}/proposal", json={})).json()["id"]
            answers = await asyncio.gather(*(confirm(client, name, proposal) for client in (one, two, one, two)))
            assert {answer.json()["status"] for answer in answers} == {"decided"}
            assert len({answer.json()["proposal"]["confirmed_by"] for answer in answers}) == 1
    assert [e.round_id for e in await funding.events("RoundDecided")] == [f"atelier-2030-r{n}" for n in range(1, 7)]
    assert len(await funding.events("GrantAwarded")) == 24
    assert recomputed(await funding.events()) == await funding.balance()


async def test_two_officers_with_different_proposals_one_wins_and_the_other_is_told(funding: Funding) -> None:
    (members,) = await ready(funding, 1)
    async with funding.staff("officer") as one, funding.staff("officer-2") as two:
        first = (await one.get(f"/rounds/{R1}/ranking")).json()["proposal"]["id"]
        move = {"application_id": members[3].id, "before": members[0].id, "reason": "the jury insists"}
        second = (await two.post(f"/rounds/{R1}/proposal", json={"moves": [move]})).json()["id"]
        answers = await asyncio.gather(confirm(one, R1, first), confirm(two, R1, second))
    assert [(a.status_code, a.json().get("code")) for a in answers] == [(409, "proposal_stale"), (200, None)]
    assert (await funding.outcomes(members))[3] == "awarded"


async def test_a_withdrawal_against_the_decision_leaves_no_money_with_who_withdrew(funding: Funding) -> None:
    groups = await ready(funding, 8, envelope_eur=1_000_000)
    async with funding.staff() as officer:
        for number, members in enumerate(groups, start=1):
            name = f"atelier-2030-r{number}"
            proposal = (await officer.post(f"/rounds/{name}/proposal", json={})).json()["id"]
            record = funding.record(members[0].withdrawn())
            answer, _ = await asyncio.gather(confirm(officer, name, proposal), funding.take([record]))
            if answer.status_code == httpx.codes.CONFLICT:
                assert answer.json()["code"] == "proposal_stale"
                proposal = (await officer.post(f"/rounds/{name}/proposal", json={})).json()["id"]
                assert (await confirm(officer, name, proposal)).json()["status"] == "decided"
            assert (await funding.outcomes(members))[0] in ("withdrawn", "none")
            assert (await funding.outcomes(members))[1:] == ["awarded"] * 3
    assert recomputed(await funding.events()) == await funding.balance()
    assert (await funding.balance())[1] == 8 * 90_000


async def test_a_decline_against_the_lapse_releases_once(funding: Funding) -> None:
    members = dossiers(6)
    await funding.announced(a_call(envelope_eur=1_000_000), members, SCORES)
    grants = [await funding.grant_of(each) for each in members]
    declines = [funding.record(each.declined(grant)) for each, grant in zip(members, grants, strict=True)]
    funding.at(LAPSES)
    await asyncio.gather(*(funding.take([record]) for record in declines), funding.fire())
    released = await funding.events("GrantReleased")
    assert len(released) == len({e.grant_id for e in released}) == 6
    assert recomputed(await funding.events()) == await funding.balance() == (1_000_000, 0, 0)


async def test_a_release_that_promotes_against_a_decision_spends_no_euro_twice(funding: Funding) -> None:
    first, second = await ready(funding, 2, envelope_eur=100_000)
    async with funding.staff() as officer:
        proposal = (await officer.get(f"/rounds/{R1}/ranking")).json()["proposal"]["id"]
        await confirm(officer, R1, proposal)
        funding.at(ANNOUNCES)
        await funding.fire()
        declines = [funding.record(each.declined(await funding.grant_of(each))) for each in first[:3]]
        proposal = (await officer.post(f"/rounds/{R2}/proposal", json={})).json()["id"]
        decision = asyncio.create_task(confirm(officer, R2, proposal))
        await asyncio.gather(*(funding.take([record]) for record in declines))
        assert (await decision).status_code in (200, 409)
    assert recomputed(await funding.events()) == await funding.balance()
    assert await funding.outcomes(first) == ["declined"] * 3 + ["awarded"]
    assert sum(await funding.balance()) == 100_000
    assert len(await funding.outcomes(second)) == 4
