"""Owns the waiting list of a call, earlier round, then rank: it serves what came back, and ends when its time is up."""

from collections.abc import Sequence
from datetime import datetime

from services.funding.domain.envelope import Claim, Reserved, allocate
from services.funding.handlers.acting import Act
from services.funding.handlers.awarding import award
from services.funding.store import applications, calls, rounds
from services.funding.store.applications import Outcome, Waiting
from services.funding.store.awards import Pick
from services.funding.store.rounds import RoundRow
from shared.db import Transaction
from shared.events.call import Call
from shared.events.funding import ApplicationNotSelected
from shared.ids import new_id
from shared.telemetry import Cause

PIECE = 100


async def serve(tx: Transaction, call: Call, act: Act) -> None:
    """Walk the list by the call's policy until nothing fits; not while frozen (`docs/design.md` §7, Decide).

    The caller holds the call's lock.
    """
    for held in await rounds.of_call(tx, call.id):
        if held.list_ends_at is not None and held.list_ends_at > act.at and not await _serve_round(tx, call, held, act):
            return


async def _serve_round(tx: Transaction, call: Call, held: RoundRow, act: Act) -> bool:
    """Serve one round's part of the list; whether what follows it may be served too."""
    after = 0
    while True:
        balance = await calls.known_balance(tx, call.id)
        if balance.envelope.frozen or balance.envelope.available_eur < call.grant.min_eur:
            return False
        # Under `skip` a claim that cannot fit is passed over by the index; else it must be seen, for it stops the walk.
        at_most = balance.envelope.available_eur if call.shortfall == "skip" else None
        waiting = await applications.waiting(tx, held.round_id, after, at_most, PIECE)
        claims = [Claim(w.application_id, w.claim_eur) for w in waiting]
        _, answers = allocate(balance.envelope, claims, call.shortfall, call.grant.min_eur)
        served = {a.application_id: a.amount_eur for a in answers if isinstance(a, Reserved)}
        await _promote(tx, call, held, [w for w in waiting if w.application_id in served], served, act)
        if len(served) < len(waiting) and call.shortfall != "skip":
            return False
        if len(waiting) < PIECE:
            return True
        after = waiting[-1].rank


async def _promote(
    tx: Transaction, call: Call, held: RoundRow, chosen: Sequence[Waiting], amounts: dict[str, int], act: Act
) -> None:
    if not chosen:
        return
    await applications.set_outcomes(tx, [Outcome(w.application_id, "awarded") for w in chosen])
    picks = [Pick(new_id(), w.application_id, w.rank, amounts[w.application_id], w.requested_eur) for w in chosen]
    await award(tx, call, held, picks, act.because(f"from the waiting list: {act.why}"))


async def stops_newcomers(tx: Transaction, call: Call, at: datetime) -> bool:
    """Whether somebody waits whom a rolling newcomer must not overtake: never under `skip`."""
    if call.shortfall == "skip":
        return False
    return await rounds.somebody_waits(tx, call.id, at)


async def next_end(tx: Transaction) -> datetime | None:
    """When the next waiting list ends, of those on which somebody waits."""
    due = await rounds.next_list_to_end(tx)
    return due[0] if due else None


async def end_due(tx: Transaction, now: datetime, cause: Cause) -> None:
    """Tell a piece of those who wait on a list that has ended that they are not selected."""
    due = await rounds.next_list_to_end(tx)
    held = await rounds.load_one(tx, due[1]) if due and due[0] <= now else None
    if held is None:
        return
    await calls.lock_calls(tx, [held.call_id])
    call = await calls.known_call(tx, held.call_id)
    held = await rounds.load_one(tx, held.round_id)
    if held is None or held.list_ends_at is None or held.list_ends_at > now:
        return
    waiting = await applications.waiting(tx, held.round_id, 0, None, PIECE)
    await applications.set_outcomes(tx, [Outcome(w.application_id, "not_selected", "list_ended") for w in waiting])
    for each in waiting:
        tx.outbox.record(
            ApplicationNotSelected(
                occurred_at=now, call_id=call.id, call_version=call.version, round_id=held.round_id,
                application_id=each.application_id, sealed=held.sealed, rank=each.rank, reason="list_ended",
            ),
            cause,
        )  # fmt: skip
