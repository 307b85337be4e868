"""Owns what follows when a round's last missing fact came: it is ready, a proposal is made, or decided if automatic."""

from collections.abc import Iterable
from dataclasses import replace

from services.funding.domain.readiness import is_ready
from services.funding.handlers import deciding, proposing
from services.funding.handlers.acting import Act
from services.funding.store import calls, rounds
from services.funding.store.applications import Touched
from services.funding.store.rounds import RoundRow
from shared.db import Transaction


def could_settle(touched: Touched) -> bool:
    """Whether a round's readiness may have changed: cheap, for it is asked after every batch."""
    complete = touched.closed_count is not None and touched.received == touched.closed_count
    return touched.decided_at is None and (touched.ready or (complete and touched.open_members == 0))


async def settle(tx: Transaction, round_ids: Iterable[str], act: Act) -> None:
    """Look whether undecided rounds are ready. The caller holds their calls' locks."""
    for held in await rounds.load(tx, round_ids):
        if held.decided_at is None:
            await _settle(tx, held, act)


async def _settle(tx: Transaction, held: RoundRow, act: Act) -> None:
    match = held.members_match
    if match is None and held.closed_count is not None and held.received == held.closed_count:
        match = await rounds.members_match(tx, held)
    ready = is_ready(replace(held.count, members_match=match))
    if (ready, match) == (held.ready, held.members_match):
        return
    await rounds.settle(tx, held.round_id, ready=ready, members_match=match)
    if not ready or held.ready or held.allocation == "rolling":
        return
    now_ready = (await rounds.load(tx, [held.round_id]))[0]
    await proposing.make(tx, now_ready, (), deciding.AUTOMATIC, act.at)
    await deciding.decide_automatically(tx, await calls.known_call(tx, held.call_id), act)
