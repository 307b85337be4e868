"""200 awards of 4.5 M€ at once against 4 M€, decided as they are scored by several processes: never a euro too much."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from shared.events.call import Call
from shared.messaging.records import RawRecord
from shared.tasks import end_tasks
from tests.builders_funding import Dossier, Funding, a_call, a_funding, published, recomputed_by_entry
from tests.chaos.money import discrepancies
from tests.chaos.races import another_process
from tests.databases import Databases

ENVELOPE_EUR = 4_000_000
CLAIMS_EUR = (12_500, 17_500, 22_500, 27_500, 32_500) * 40
PROCESSES, CONSUMERS_EACH = 4, 4
SEED = 1
BALANCE = "SELECT last_entry, available_eur, reserved_eur, committed_eur FROM balance"
Batch = list[RawRecord]


@pytest.fixture
async def funding(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    return await a_funding(databases, tmp_path, monkeypatch)


def batches_of(funding: Funding, call: Call, applications: Sequence[Dossier], chance: random.Random) -> list[Batch]:
    """The call, its applications and their scores in small batches, each twice, in any order; the call rather early."""
    submissions = [funding.record(each.submitted()) for each in applications]
    scores = [funding.record(each.scored("80")) for each in applications]
    chance.shuffle(scores)
    batches = [submissions[first : first + 10] for first in range(0, len(submissions), 10)]
    while scores:
        size = chance.randint(1, 3)
        batches.append(scores[:size])
        del scores[:size]
    batches *= 2
    chance.shuffle(batches)
    batches.insert(chance.randrange(len(batches) // 4), [funding.record(published(call))])
    return batches


async def take_at_once(funding: Funding, batches: list[Batch]) -> None:
    """Give the batches to the consumers of several processes, each to the next that is free."""
    waiting = iter(batches)

    async def consumer(process: Funding) -> None:
        for batch in waiting:
            await process.take(batch)

    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(another_process(funding)) for _ in range(PROCESSES)]
        async with asyncio.TaskGroup() as tasks:
            for process in processes * CONSUMERS_EACH:
                tasks.create_task(consumer(process))


@asynccontextmanager
async def watched(funding: Funding) -> AsyncIterator[set[tuple[int, ...]]]:
    """What the balance shows while something happens: the last entry, available, reserved and committed."""
    seen: set[tuple[int, ...]] = set()
    connection = await funding.db.lone_connection()

    async def look() -> None:
        while True:
            for row in await connection.fetch(BALANCE):
                seen.add(tuple(row))

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        await end_tasks([looking])
        connection.terminate()


def served(claims: Sequence[int], shortfall: str) -> list[int]:
    """What each claim gets in this order, reckoned apart from the product; 0 waits."""
    left, given, stopped = ENVELOPE_EUR, [], False
    for claim in claims:
        fits, reduced = claim <= left, left if shortfall == "reduce" and left >= 10_000 else 0
        amount = 0 if stopped else claim if fits else reduced
        stopped = stopped or (not fits and shortfall != "skip")
        given.append(amount)
        left -= amount
    return given


@pytest.mark.parametrize("shortfall", ["stop", "reduce"])
async def test_two_hundred_awards_at_once_never_exceed_the_envelope_and_the_rest_waits(
    funding: Funding, shortfall: str
) -> None:
    applications = [Dossier(number, claim) for number, claim in enumerate(CLAIMS_EUR, start=1)]
    call = a_call(allocation="rolling", envelope_eur=ENVELOPE_EUR, shortfall=shortfall)
    batches = batches_of(funding, call, applications, random.Random(SEED))
    async with watched(funding) as seen:
        await take_at_once(funding, batches)
    events = await funding.events()
    awarded = {e.rank: e for e in events if type(e).__name__ == "GrantAwarded"}
    waiting = {e.rank: e for e in events if type(e).__name__ == "ApplicationWaitlisted"}
    claim_of = {each.id: each.requested_eur for each in applications}
    in_order = [claim_of[(awarded.get(rank) or waiting[rank]).application_id] for rank in range(1, 201)]
    got = [awarded[rank].amount_eur if rank in awarded else 0 for rank in range(1, 201)]
    assert len(awarded) + len(waiting) == 200
    assert got == served(in_order, shortfall)
    assert sum(got) <= ENVELOPE_EUR < sum(in_order)
    assert await discrepancies(funding) == []
    after = recomputed_by_entry(events)
    assert len(seen) > 10
    assert {(entry, *after[entry]) for entry, *_ in seen} == seen
