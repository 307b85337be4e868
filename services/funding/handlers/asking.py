"""Owns the officers' questions about a round: what it waits for, how it ranks, and what if; it writes nothing."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from services.funding.domain.envelope import Envelope
from services.funding.domain.proposal import Inputs, Proposal, propose, read_inputs
from services.funding.domain.ranking import weighed_again
from services.funding.domain.readiness import waits_for
from services.funding.handlers import proposing
from services.funding.handlers.acting import Refusal
from services.funding.store import calls, proposals, reports, rounds
from services.funding.store.proposals import ProposalRow
from services.funding.store.rounds import RoundRow
from shared.db import Transaction
from shared.events.call import Call


@dataclass(frozen=True, slots=True)
class Ranking:
    """A round as officers see it. Without a proposal, `waits_for` says what is missing."""

    held: RoundRow
    waits_for: list[str]
    open_members: list[dict[str, Any]]
    proposal: ProposalRow | None
    stale: bool
    line_after_rank: int | None
    lines: list[reports.RankedRow]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Other values of the call for one look: None keeps the call's own. Weights by criterion."""

    envelope_eur: int | None = None
    pass_mark: Decimal | None = None
    weights: Mapping[str, Decimal] | None = None

    @property
    def asked(self) -> bool:
        """Whether anything is to be looked at differently."""
        return any(value is not None for value in (self.envelope_eur, self.pass_mark, self.weights))


async def ranking(tx: Transaction, round_id: str, after: int) -> Ranking | Refusal:
    """A page of the round's ranking by its current proposal, or what it waits for. Refused: unknown round."""
    held = await rounds.load_one(tx, round_id)
    if held is None:
        return Refusal("round_unknown", f"No round is called {round_id}.")
    lacks = waits_for(held.count) if held.decided_at is None else []
    members = await reports.still_open(tx, round_id) if lacks else []
    if held.allocation == "rolling":
        return Ranking(held, lacks, members, None, False, None, await reports.rolling(tx, round_id, after))  # noqa: FBT003
    made = await proposals.load(tx, held.current_proposal)
    if made is None or (lacks and held.decided_at is None):
        return Ranking(held, lacks, members, None, False, None, [])  # noqa: FBT003
    return Ranking(
        held, lacks, members, made, await _stale(tx, held, made),
        await reports.line_at_envelope(tx, made.proposal_id),
        await reports.ranking(tx, round_id, made.proposal_id, after),
    )  # fmt: skip


async def _stale(tx: Transaction, held: RoundRow, made: ProposalRow) -> bool:
    if held.decided_at is not None:
        return False
    balance = await calls.known_balance(tx, held.call_id)
    return proposing.is_stale(made, held, await calls.read_call(tx, held.call_id), balance)


async def what_if(tx: Transaction, round_id: str, asked: WhatIf) -> Proposal | Refusal:
    """What the round's decision would be, or would have been, with other values.

    An undecided round is looked at as it is now, a decided one as it was decided. Refused: unknown round, not ready.
    """
    held = await rounds.load_one(tx, round_id)
    if held is None:
        return Refusal("round_unknown", f"No round is called {round_id}.")
    if held.allocation == "rolling" or (held.decided_at is None and not held.ready):
        return Refusal("state_conflict", "The round has no ranking yet.")
    call = await calls.known_call(tx, held.call_id)
    criteria = [each.id for each in call.rubric.criteria]
    if unknown := sorted(set(asked.weights or {}) - set(criteria)):
        sentence = f"No criterion is called {', '.join(unknown)}; there are {', '.join(criteria)}."
        return Refusal("validation_failed", sentence, "weights")
    inputs = await _inputs(tx, held, call)
    return await asyncio.to_thread(propose, _changed(inputs, asked))


async def _inputs(tx: Transaction, held: RoundRow, call: Call) -> Inputs:
    made = await proposals.load(tx, held.current_proposal)
    if held.decided_at is not None and made is not None:
        documents = await proposals.documents(tx, made.proposal_id)
        if documents is not None:
            return await asyncio.to_thread(lambda: read_inputs(json.loads(documents[0])))
    moves = made.asked_moves if made else []
    inputs = await proposing.gather(tx, call, held.round_id, await calls.known_balance(tx, held.call_id))
    ranked = {member.application_id for member in inputs.members}
    return replace(inputs, moves=[m for m in moves if m.application_id in ranked and m.before in ranked])


def _changed(inputs: Inputs, asked: WhatIf) -> Inputs:
    envelope = inputs.envelope
    if asked.envelope_eur is not None:
        held_eur = envelope.reserved_eur + envelope.committed_eur
        left = max(asked.envelope_eur - held_eur, 0)
        envelope = Envelope(left, envelope.reserved_eur, envelope.committed_eur, envelope.frozen)
    members = inputs.members if asked.weights is None else weighed_again(inputs.members, asked.weights)
    terms = inputs.terms if asked.pass_mark is None else replace(inputs.terms, pass_mark=asked.pass_mark)
    return replace(inputs, envelope=envelope, members=members, terms=terms)
