"""Owns how a proposal comes about: the round's facts gathered, the rule applied, inputs and outcome hashed and kept."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from services.funding.domain.proposal import (
    Inputs,
    Proposal,
    Terms,
    inputs_stream,
    outcome_stream,
    propose,
)
from services.funding.domain.ranking import Move, check_moves
from services.funding.handlers.acting import Refusal
from services.funding.store import applications, calls, proposals, rounds
from services.funding.store.calls import Balance, CallRow
from services.funding.store.proposals import Canonical, NewProposal, ProposalRow
from services.funding.store.rounds import RoundRow
from shared.db import Transaction
from shared.events.call import Call
from shared.ids import new_id


def terms_of(call: Call) -> Terms:
    """What a call file says about deciding."""
    return Terms(call.version, call.rubric.pass_mark, call.tie_break, call.shortfall, call.grant.min_eur)


async def gather(tx: Transaction, call: Call, round_id: str, balance: Balance, moves: Sequence[Move] = ()) -> Inputs:
    """What a proposal for the round depends on now."""
    members = await applications.members(tx, round_id)
    return Inputs(call.id, round_id, terms_of(call), balance.envelope, members, moves)


def is_stale(made: ProposalRow, held: RoundRow, call: CallRow, balance: Balance) -> bool:
    """Whether anything that the proposal depends on has changed since (`docs/design.md` §7, Decide)."""
    return (
        made.proposal_id != held.current_proposal
        or not held.ready
        or made.inputs_version != held.inputs_version
        or made.call_version != call.version
        or made.ledger_entry != balance.last_entry
        or made.frozen != call.frozen
    )


async def make(tx: Transaction, held: RoundRow, moves: Sequence[Move], by: str, now: datetime) -> str:
    """Make the round's new current proposal; its id. The caller holds the call's lock and has checked the moves."""
    call = await calls.known_call(tx, held.call_id)
    balance = await calls.known_balance(tx, held.call_id)
    inputs = await gather(tx, call, held.round_id, balance, moves)
    # In a thread: ranking and hashing a large round takes seconds, and the process serves others meanwhile.
    proposal, went_in, came_out = await asyncio.to_thread(_work_out, inputs)
    new = NewProposal(
        proposal_id=new_id(),
        call_id=call.id,
        round_id=held.round_id,
        made_at=now,
        made_by=by,
        inputs_version=held.inputs_version,
        call_version=call.version,
        ledger_entry=balance.last_entry,
        frozen=balance.envelope.frozen,
        moves=moves,
        inputs=went_in.text,
        outcome=came_out.text,
        inputs_sha256=went_in.sha256,
        outcome_sha256=came_out.sha256,
        awarded=proposal.count("awarded"),
        waitlisted=proposal.count("waitlisted"),
        not_selected=proposal.count("not_selected"),
        awarded_eur=proposal.awarded_eur,
        remaining_eur=proposal.envelope.available_eur,
    )
    await proposals.add(tx, new, proposal.lines)
    return new.proposal_id


def _work_out(inputs: Inputs) -> tuple[Proposal, Canonical, Canonical]:
    proposal = propose(inputs)
    return proposal, proposals.canonical(inputs_stream(inputs)), proposals.canonical(outcome_stream(proposal))


async def ask(tx: Transaction, round_id: str, moves: Sequence[Move], by: str, now: datetime) -> ProposalRow | Refusal:
    """A proposal with the chair's moves; the current one again if it is the same and still holds.

    Refused: unknown round, not ready, decided otherwise, or a move that cannot be made.
    """
    found = await rounds.load_one(tx, round_id)
    if found is None:
        return Refusal("round_unknown", f"No round is called {round_id}.")
    call_row = (await calls.lock_calls(tx, [found.call_id]))[found.call_id]
    held = await rounds.load_one(tx, round_id)
    balance = await calls.load_balance(tx, found.call_id)
    if held is None or balance is None:
        return Refusal("state_conflict", "The call of this round was not received.")
    current = await proposals.load(tx, held.current_proposal)
    same = current is not None and current.asked_moves == list(moves)
    if current and same and (held.decided_at is not None or not is_stale(current, held, call_row, balance)):
        return current
    refusal = await _against(tx, held, moves)
    if refusal is not None:
        return refusal
    made = await proposals.load(tx, await make(tx, held, moves, by, now))
    if made is None:
        raise AssertionError("unreachable: the proposal was written by this transaction")
    return made


async def _against(tx: Transaction, held: RoundRow, moves: Sequence[Move]) -> Refusal | None:
    if held.allocation == "rolling":
        return Refusal("state_conflict", "A rolling call is decided as its applications are scored.")
    if held.decided_at is not None:
        return Refusal("state_conflict", "The round was decided.")
    if not held.ready:
        return Refusal("state_conflict", "The round is not ready; its ranking names what it waits for.")
    broken = check_moves(await applications.members(tx, held.round_id), moves) if moves else []
    if not broken:
        return None
    detail = f"The round does not rank {broken[0].application_id}, or it is put before itself."
    return Refusal("validation_failed", detail, f"moves.{broken[0].position}")
