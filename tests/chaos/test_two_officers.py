"""Two officers who confirm the same round at the same time: one decides, and the other is told so."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders_funding import DECIDES, R1, Dossier, Funding, a_call, a_funding, closed, published
from tests.chaos.copies import copied, multiply
from tests.chaos.money import discrepancies
from tests.chaos.races import Start, current_proposal
from tests.databases import Databases

ROUNDS = 30


@pytest.fixture
async def funding(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    return await a_funding(databases, tmp_path, monkeypatch)


async def ready(funding: Funding, **changes: Any) -> tuple[Dossier, Dossier, str]:
    """Many calls with a round that waits for its decision: its two applications, its proposal."""
    first, second = Dossier(1, 30_000), Dossier(2, 30_000)
    await funding.receive(published(a_call(envelope_eur=40_000, **changes)), first.submitted(), second.submitted())
    await funding.receive(closed([first, second]), first.scored("90"), second.scored("80"))
    funding.at(DECIDES)
    proposal = await current_proposal(funding, R1)
    await multiply(funding, ROUNDS)
    return first, second, proposal


async def confirm(client: httpx.AsyncClient, round_id: str, proposal: str) -> httpx.Response:
    return await client.post(f"/rounds/{round_id}/decision", json={"proposal": proposal})


async def test_of_two_who_confirm_one_decides_and_the_other_reads_who_did(funding: Funding) -> None:
    _, _, proposal = await ready(funding)
    deciders: Counter[str] = Counter()
    async with funding.staff("officer") as one, funding.staff("officer-2") as two:
        for number in range(1, ROUNDS + 1):
            confirming = [confirm(each, copied(R1, number), copied(proposal, number)) for each in (one, two)]
            answers = [(a.status_code, a.json()) for a in await asyncio.gather(*confirming)]
            assert [(status, body["status"]) for status, body in answers] == [(200, "decided")] * 2
            (decider,) = {body["proposal"]["confirmed_by"] for _, body in answers}
            deciders[decider] += 1
    assert set(deciders) <= {"officer", "officer-2"}
    decided = await funding.events("RoundDecided")
    assert len(decided) == len({e.round_id for e in decided}) == ROUNDS
    assert len(await funding.events("GrantAwarded")) == ROUNDS
    assert await discrepancies(funding) == []


async def test_where_two_must_confirm_one_person_who_does_so_twice_does_not_decide(funding: Funding) -> None:
    _, _, proposal = await ready(funding, second_person=True)
    async with funding.staff("officer") as one, funding.staff("officer-2") as two:
        for number in range(1, ROUNDS + 1):
            twice = [confirm(one, copied(R1, number), copied(proposal, number)) for _ in range(2)]
            assert [a.json()["status"] for a in await asyncio.gather(*twice)] == ["awaiting_second"] * 2
            both = [confirm(each, copied(R1, number), copied(proposal, number)) for each in (one, two, two)]
            answers = [a.json() for a in await asyncio.gather(*both)]
            assert "decided" in {a["status"] for a in answers}
            assert {a["proposal"]["confirmed_by"] for a in answers if a["status"] == "decided"} == {"officer-2"}
    assert len(await funding.events("GrantAwarded")) == ROUNDS
    assert await discrepancies(funding) == []


async def test_of_two_with_different_proposals_the_one_who_is_late_is_told(funding: Funding) -> None:
    first, second, proposal = await ready(funding)
    start, answers = Start(), []

    async def confirms_what_is_proposed(client: httpx.AsyncClient, number: int, said: dict[str, Any]) -> None:
        said["one"] = await confirm(client, copied(R1, number), copied(proposal, number))

    async def proposes_otherwise(client: httpx.AsyncClient, number: int, said: dict[str, Any]) -> None:
        move = {"application_id": copied(second.id, number), "before": copied(first.id, number), "reason": "the jury"}
        said["other"] = await client.post(f"/rounds/{copied(R1, number)}/proposal", json={"moves": [move]})
        if said["other"].status_code == httpx.codes.OK:
            said["other"] = await confirm(client, copied(R1, number), said["other"].json()["id"])

    async with funding.staff("officer") as one, funding.staff("chair", "chair") as two:
        for number in range(1, ROUNDS + 1):
            said: dict[str, Any] = {}
            await start.together(
                [lambda n=number, s=said: confirms_what_is_proposed(one, n, s)],
                lambda n=number, s=said: proposes_otherwise(two, n, s),
            )
            answers.append(tuple((said[who].status_code, said[who].json().get("code")) for who in ("one", "other")))
            first_won = said["one"].status_code == httpx.codes.OK
            start.adjust(first_won=int(first_won), second_won=int(not first_won))
    assert set(answers) == {
        ((200, None), (409, "state_conflict")),
        ((409, "proposal_stale"), (200, None)),
    }  # fmt: skip
    assert len(await funding.events("RoundDecided")) == len(await funding.events("GrantAwarded")) == ROUNDS
    assert await discrepancies(funding) == []
