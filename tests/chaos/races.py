"""Owns the races for the same euro: many calls in the same state, and in each two who act at the same time.

Each race gives back who won how often, and how the calls ended, one row a call; what must hold is said by the tests.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncpg import PostgresError

from services.funding.handlers import deciding, following
from services.funding.handlers.acting import Refusal
from shared.clock import business_now
from shared.db import Database
from shared.messaging.records import RawRecord
from tests.bench import CAUSE
from tests.builders_funding import (
    ANNOUNCES,
    CALL,
    DECIDES,
    R1,
    R2,
    Dossier,
    Funding,
    a_call,
    a_round,
    closed,
    dossiers,
    published,
)
from tests.chaos.copies import copied, copied_dossier, multiply

AT_ONCE = 8
STEP = 5
"""Turns of the loop by which a winner is held back."""
OFFERS = 10
LAPSES = datetime(2030, 4, 1, 21, 59, 59, tzinfo=UTC)

ACCEPTED = "SELECT count(*) FROM award WHERE call_id = :call_id AND state = 'accepted'"
ENDS = """
SELECT c.call_id, (SELECT count(decided_at) FROM round r WHERE r.call_id = c.call_id) AS decided,
    ARRAY(SELECT COALESCE(w.state, a.outcome, 'none') FROM application a LEFT JOIN award w USING (application_id)
          WHERE a.call_id = c.call_id ORDER BY a.round_id, a.reference) AS outcomes
FROM call c WHERE call_id <> 'atelier-2030' ORDER BY c.call_id
"""

Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Raced:
    """What came of many races: by winner how many, and by end (rounds decided, outcomes by application) how many."""

    won: Counter[str] = field(default_factory=Counter)
    ends: Counter[tuple[int, tuple[str, ...]]] = field(default_factory=Counter)


class Start:
    """Lets one of two wait longer the more often it wins, so that both come to the same place at the same time."""

    def __init__(self) -> None:
        self.turns = 0

    async def together(self, first: Sequence[Work], second: Work) -> None:
        """Run the first ones and the second at once."""
        async with asyncio.TaskGroup() as tasks:
            for number, work in enumerate(first):
                tasks.create_task(_after(max(self.turns, 0) + 2 * number, work))
            tasks.create_task(_after(max(-self.turns, 0), second))

    def adjust(self, *, first_won: int, second_won: int) -> None:
        """Hold back who won."""
        self.turns += STEP * (first_won - second_won)


async def _after(turns: int, work: Work) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    await work()


@asynccontextmanager
async def another_process(funding: Funding) -> AsyncIterator[Funding]:
    """The same service once more on the same database, with connections of its own."""
    database = Database(funding.db.dsn, "funding")
    try:
        yield Funding(database, funding.clock)
    finally:
        await database.close()


async def confirm(funding: Funding, round_id: str, proposal: str, by: str = "officer") -> str:
    """What an officer who confirms is told: decided, or the code of the refusal; a failure is told as such."""
    try:
        async with funding.db.transaction() as tx:
            answer = await deciding.confirm(tx, round_id, proposal, by, business_now(), CAUSE)
    except PostgresError as failure:
        return type(failure).__name__
    return answer.code if isinstance(answer, Refusal) else answer.status


async def decisions_against(
    funding: Funding, races: int, round_id: str, proposal: str, record_of: Callable[[int], RawRecord]
) -> Raced:
    """Confirm the proposal of each copy while an event about it comes in: to two processes, as after a rebalance."""
    raced, start = Raced(), Start()
    async with another_process(funding) as one, another_process(funding) as other:
        for first in range(1, races + 1, AT_ONCE):
            answers: list[str] = []
            numbers = range(first, min(first + AT_ONCE, races + 1))
            batch = [record_of(number) for number in numbers]

            async def officer(number: int, answers: list[str] = answers) -> None:
                answers.append(await confirm(funding, copied(round_id, number), copied(proposal, number)))

            async def consumers(batch: list[RawRecord] = batch) -> None:
                await asyncio.gather(one.take(batch), other.take(batch))

            await start.together([lambda number=number: officer(number) for number in numbers], consumers)
            raced.won.update(answers)
            decided = answers.count("decided")
            start.adjust(first_won=decided, second_won=len(answers) - decided)
    return await _ended(funding, raced)


async def _ended(funding: Funding, raced: Raced) -> Raced:
    raced.ends.update((row["decided"], tuple(row["outcomes"])) for row in await funding.rows(ENDS))
    return raced


async def withdrawal_against_decision(funding: Funding, races: int) -> Raced:
    """The first of two would be awarded, and withdraws while the officer confirms; the second waits for its money."""
    leaver, waiter = Dossier(1, 30_000), Dossier(2, 30_000)
    await funding.receive(published(a_call(envelope_eur=40_000)), leaver.submitted(), waiter.submitted())
    await funding.receive(closed([leaver, waiter]), leaver.scored("90"), waiter.scored("80"))
    funding.at(DECIDES)
    proposal = await current_proposal(funding, R1)
    await multiply(funding, races)
    return await decisions_against(
        funding, races, R1, proposal, lambda number: funding.record(copied_dossier(leaver, number).withdrawn())
    )


async def release_against_decision(funding: Funding, races: int) -> Raced:
    """A declined grant would promote who waits in the first round; the second round's decision wants the same euros."""
    decliner, waiter, newcomer = Dossier(1, 30_000), Dossier(2, 40_000), Dossier(3, 30_000, R2)
    call = a_call(envelope_eur=60_000, rounds=[a_round(R1), a_round(R2, 1)])
    await funding.receive(published(call), *(each.submitted() for each in (decliner, waiter, newcomer)))
    await funding.receive(closed([decliner, waiter]), decliner.scored("90"), waiter.scored("80"))
    funding.at(DECIDES)
    assert await confirm(funding, R1, await current_proposal(funding, R1)) == "decided"
    funding.at(ANNOUNCES)
    await funding.fire()
    await funding.receive(closed([newcomer], R2), newcomer.scored("90"))
    grant, proposal = await funding.grant_of(decliner), await current_proposal(funding, R2)
    await multiply(funding, races)
    return await decisions_against(
        funding, races, R2, proposal,
        lambda number: funding.record(copied_dossier(decliner, number).declined(copied(grant, number))),
    )  # fmt: skip


async def acceptance_against_lapse(funding: Funding, races: int) -> Raced:
    """Ten offers of a call lapse, on two timers, while their acceptances come in; ten others wait for the money."""
    silent, waiting = dossiers(OFFERS), [Dossier(number) for number in range(OFFERS + 1, 2 * OFFERS + 1)]
    everybody = [*silent, *waiting]
    await funding.receive(published(a_call(envelope_eur=OFFERS * 30_000)), *(each.submitted() for each in everybody))
    await funding.receive(closed(everybody), *(each.scored("90") for each in everybody))
    funding.at(DECIDES)
    assert await confirm(funding, R1, await current_proposal(funding, R1)) == "decided"
    funding.at(ANNOUNCES)
    await funding.fire()
    offers = [(each, await funding.grant_of(each)) for each in silent]
    await multiply(funding, races // OFFERS)
    await _lapse_one_after_the_other(funding)
    funding.at(LAPSES)
    await funding.fire()  # the call that was copied
    return await _accept_in_time(funding, races, offers)


async def _lapse_one_after_the_other(funding: Funding) -> None:
    """Let each copy lapse a second after the one before, so that no timer runs ahead of the race."""
    async with funding.db.transaction() as tx:
        await tx.execute(
            "UPDATE award SET lapses_at = lapses_at + CAST(right(call_id, 4) AS int) * interval '1 second'"
            " WHERE call_id <> 'atelier-2030'"
        )


async def _accept_in_time(funding: Funding, races: int, offers: Sequence[tuple[Dossier, str]]) -> Raced:
    raced, start = Raced(), Start()

    async def timer() -> None:
        # Like the timer loop, which begins again after a failure.
        with suppress(PostgresError):
            async with funding.db.transaction() as tx:
                await following.lapse_due(tx, business_now(), CAUSE)

    async def timers() -> None:
        await asyncio.gather(timer(), timer())

    for number in range(1, races // OFFERS + 1):
        funding.at(LAPSES + timedelta(seconds=number))
        records = [
            funding.record(copied_dossier(each, number).accepted(copied(grant, number))) for each, grant in offers
        ]
        batches = [records[first : first + 2] for first in range(0, OFFERS, 2)]
        await start.together([lambda batch=batch: funding.take(batch) for batch in batches], timers)
        accepted = await funding.value(ACCEPTED, call_id=copied(CALL, number))
        raced.won.update({"accepted": accepted, "lapsed": OFFERS - accepted})
        start.adjust(first_won=accepted, second_won=OFFERS - accepted)
    return await _ended(funding, raced)


async def current_proposal(funding: Funding, round_id: str) -> str:
    """The proposal that an officer sees of a round."""
    proposal: str = await funding.value(
        "SELECT CAST(current_proposal AS text) FROM round WHERE round_id = :id", id=round_id
    )
    return proposal
