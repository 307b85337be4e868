"""Owns the confirmation of a proposal: reservations, outcomes and events of a round in one transaction, once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.funding.domain.readiness import undecided_before
from services.funding.handlers import proposing
from services.funding.handlers.acting import PIECE, Act, Refusal
from services.funding.handlers.awarding import award
from services.funding.store import applications, calls, proposals, rounds
from services.funding.store.awards import Pick
from services.funding.store.calls import CallRow
from services.funding.store.proposals import ProposalRow
from services.funding.store.rounds import RoundRow
from shared.crashpoints import crash_point
from shared.db import Transaction
from shared.events.call import Call
from shared.events.funding import ApplicationNotSelected, ApplicationWaitlisted, RoundDecided
from shared.ids import new_id
from shared.telemetry import Cause

AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a confirmation came to: the round is decided, or another person must confirm too."""

    status: Literal["decided", "awaiting_second"]
    proposal: ProposalRow


async def confirm(
    tx: Transaction, round_id: str, proposal_id: str, by: str, now: datetime, cause: Cause
) -> Confirmed | Refusal:
    """Confirm the round's current proposal (`docs/design.md` §7, Decide).

    Refused: unknown round or proposal, an earlier round of the call undecided, another proposal decided, or one that
    something has changed since.
    """
    found = await rounds.load_one(tx, round_id)
    if found is None:
        return Refusal("round_unknown", f"No round is called {round_id}.")
    call_row = (await calls.lock_calls(tx, [found.call_id]))[found.call_id]
    held = await rounds.load_one(tx, round_id)
    made = await proposals.load(tx, proposal_id)
    if held is None or made is None or made.round_id != round_id:
        return Refusal("proposal_unknown", f"The round has no proposal {proposal_id}.")
    if made.confirmed_at is not None:
        return Confirmed("decided", made)
    refusal = await _against(tx, call_row, held, made)
    if refusal is not None:
        return refusal
    return await _confirm(tx, held, made, Act(now, cause, by, f"decision of {round_id}"))


async def _against(tx: Transaction, call: CallRow, held: RoundRow, made: ProposalRow) -> Refusal | None:
    if held.decided_at is not None:
        return Refusal("proposal_stale", "The round was decided by another proposal.")
    earlier = undecided_before(held.round_id, [each.order for each in await rounds.of_call(tx, held.call_id)])
    if earlier is not None:
        return Refusal("state_conflict", f"The round {earlier} closes earlier and has to be decided first.")
    if proposing.is_stale(made, held, call, await calls.known_balance(tx, held.call_id)):
        return Refusal("proposal_stale", "Something has changed since this proposal was made; ask for a new one.")
    return None


async def _confirm(tx: Transaction, held: RoundRow, made: ProposalRow, act: Act) -> Confirmed:
    call = await calls.known_call(tx, held.call_id)
    if call.second_person and made.first_by in (None, act.who):
        if made.first_by is None:
            await proposals.note_first(tx, made.proposal_id, act.who, act.at)
        return Confirmed("awaiting_second", await _again(tx, made))
    await decide(tx, call, held, made, act)
    await decide_automatically(tx, call, act)
    return Confirmed("decided", await _again(tx, made))


async def _again(tx: Transaction, made: ProposalRow) -> ProposalRow:
    return await proposals.load(tx, made.proposal_id) or made


async def decide(tx: Transaction, call: Call, held: RoundRow, made: ProposalRow, act: Act) -> None:
    """Reserve, give every application its outcome and say so. The caller holds the call's lock and has checked."""
    await proposals.confirm(tx, made.proposal_id, act.who, act.at)
    await applications.decide(tx, made.proposal_id)
    awarded = await proposals.awarded(tx, made.proposal_id)
    picks = [Pick(new_id(), a.application_id, a.rank, a.awarded_eur, a.requested_eur) for a in awarded]
    await award(tx, call, held, picks, act)
    crash_point("funding.reserved")
    mark = tx.outbox.mark()
    async for piece in _others(tx, made.proposal_id):
        for line in piece:
            tx.outbox.record(_outcome(call, held, line, act.at), act.cause)
        await tx.outbox.write(since=mark)
    await rounds.decided(tx, held.round_id, act.at)
    crash_point("funding.decided")
    tx.outbox.record(
        RoundDecided(
            occurred_at=act.at, call_id=call.id, call_version=call.version, round_id=held.round_id,
            awarded=made.awarded, waitlisted=made.waitlisted, not_selected=made.not_selected,
            awarded_eur=made.awarded_eur, remaining_eur=made.remaining_eur, inputs_sha256=made.inputs_sha256,
            outcome_sha256=made.outcome_sha256,
        ),
        act.cause,
    )  # fmt: skip


async def _others(tx: Transaction, proposal_id: str) -> AsyncIterator[list[proposals.OtherLine]]:
    after = 0
    while lines := await proposals.others(tx, proposal_id, after, PIECE):
        yield lines
        after = lines[-1].rank


def _outcome(
    call: Call, held: RoundRow, line: proposals.OtherLine, at: datetime
) -> ApplicationWaitlisted | ApplicationNotSelected:
    event = ApplicationWaitlisted if line.outcome == "waitlisted" else ApplicationNotSelected
    return event.model_validate({
        "occurred_at": at, "call_id": call.id, "call_version": call.version, "round_id": held.round_id,
        "application_id": line.application_id, "sealed": held.sealed, "rank": line.rank, "reason": line.reason,
    })  # fmt: skip


async def decide_automatically(tx: Transaction, call: Call, act: Act) -> None:
    """Under `decision: automatic` confirm every ready round whose turn it is, by a proposal made anew if need be."""
    if call.decision != "automatic" or call.allocation != "ranked":
        return
    for held in await rounds.of_call(tx, call.id):
        if held.decided_at is not None:
            continue
        if not held.ready:
            return
        call_row = (await calls.lock_calls(tx, [call.id]))[call.id]
        made = await proposals.load(tx, held.current_proposal)
        if made is None or proposing.is_stale(made, held, call_row, await calls.known_balance(tx, call.id)):
            made = await proposals.load(tx, await proposing.make(tx, held, (), AUTOMATIC, act.at))
        if made is not None:
            automatic = Act(act.at, act.cause, AUTOMATIC, f"decision of {held.round_id}")
            await decide(tx, call, held, made, automatic)
