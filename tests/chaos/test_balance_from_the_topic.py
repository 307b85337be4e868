"""Whatever comes to funding in whatever order, `funding.grants` alone tells the balance at every instant."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from services.funding.handlers import following
from services.funding.handlers.acting import Act, Refusal
from shared.clock import business_now
from tests.bench import CAUSE
from tests.builders_funding import (
    DECIDES,
    Dossier,
    Funding,
    a_call,
    a_funding,
    published,
    recomputed_by_entry,
)
from tests.chaos.money import discrepancies
from tests.databases import Databases

SEED, STEPS = 1, 200
ONWARDS = {"awarded": "accept", "accepted": "sign", "committed": "start", "started": "complete"}
ANY = ("accept", "decline", "decline", "withdraw", "sign", "start", "complete", "revoke")


class Walk:
    """One rolling call and a random way through it: what is possible, and what is not."""

    def __init__(self, funding: Funding, seed: int) -> None:
        self.funding = funding
        self.chance = random.Random(seed)
        self.shortfall = ("stop", "skip", "reduce")[seed % 3]
        self.version = 0
        self.known: list[Dossier] = []
        self.balances: dict[int, tuple[int, ...]] = {}
        self.often = {
            self.publish: 1, self.apply: 8, self.go_on: 6, self.do_anything: 6, self.do_anything_to_anybody: 2,
            self.wait: 1,
        }  # fmt: skip

    async def step(self) -> None:
        """One step, and what the balance shows after it."""
        await self.chance.choices(list(self.often), list(self.often.values()))[0]()
        for row in await self.funding.rows("SELECT * FROM balance"):
            self.balances[row["last_entry"]] = (row["available_eur"], row["reserved_eur"], row["committed_eur"])

    async def publish(self) -> None:
        self.version += 1
        call = a_call(
            version=self.version, allocation="rolling", shortfall=self.shortfall,
            envelope_eur=1000 * self.chance.randint(100, 400),
            project={"starts_within_months": 3, "ends_by": "2035-12-31"},
        )  # fmt: skip
        await self.funding.receive(published(call))

    async def apply(self) -> None:
        dossier = Dossier(len(self.known) + 1, self.chance.randint(10_000, 40_000))
        self.known.append(dossier)
        await self.funding.receive(dossier.submitted(), dossier.scored(str(self.chance.randint(55, 100))))

    async def go_on(self) -> None:
        for dossier, state in await self._holder():
            await self.do(dossier, ONWARDS[state])

    async def do_anything(self) -> None:
        for dossier, _ in await self._holder():
            await self.do(dossier, self.chance.choice(ANY))

    async def do_anything_to_anybody(self) -> None:
        await self.do(self.chance.choice(self.known), self.chance.choice(ANY))

    async def _holder(self) -> list[tuple[Dossier, str]]:
        """One application that holds money which is not spent, if there is any."""
        states = zip(self.known, await self.funding.outcomes(self.known), strict=True)
        holders = [(dossier, state) for dossier, state in states if state in ONWARDS]
        return self.chance.sample(holders, min(len(holders), 1))

    async def wait(self) -> None:
        self.funding.at(business_now() + timedelta(days=self.chance.choice([1, 2, 10, 30])))
        await self.funding.fire()

    async def do(self, dossier: Dossier, step: str) -> None:
        grant = await self.funding.grant_of(dossier)
        act = Act(business_now(), CAUSE, "officer", step)
        if step == "withdraw":
            await self.funding.receive(dossier.withdrawn())
        elif grant and step == "accept":
            await self.funding.receive(dossier.accepted(grant, act.at))
        elif grant and step == "decline":
            await self.funding.receive(dossier.declined(grant))
        elif grant:
            await self._record(grant, step, act)

    async def _record(self, grant: str, step: str, act: Act) -> following.Recorded | Refusal:
        async with self.funding.db.transaction() as tx:
            if step == "revoke":
                return await following.revoke(tx, grant, act)
            record = {"sign": following.sign, "start": following.start, "complete": following.complete}[step]
            return await record(tx, grant, act.at.date(), act)


async def test_the_topic_alone_tells_the_balance_at_every_instant(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    funding = await a_funding(databases, tmp_path, monkeypatch)
    funding.at(DECIDES)
    walk = Walk(funding, SEED)
    await walk.publish()
    await walk.apply()
    for _ in range(STEPS):
        await walk.step()
    events = await funding.events()
    after = recomputed_by_entry(events)
    assert walk.balances == {entry: after[entry] for entry in walk.balances}
    assert await discrepancies(funding) == []
    released = {e.reason for e in events if type(e).__name__ == "GrantReleased"}
    assert released == {"declined", "withdrawn", "lapsed", "revoked"}
    assert max(committed for _, _, committed in after) > 0
