"""Owns rolling allocation: each application is decided as it is scored, in the order in which funding commits."""

from collections.abc import Sequence

from services.funding.domain.envelope import Claim, Reserved, allocate
from services.funding.domain.proposal import claim_eur
from services.funding.handlers import waiting_list
from services.funding.handlers.acting import Act
from services.funding.handlers.awarding import award
from services.funding.store import applications, calls, rounds
from services.funding.store.applications import Candidate, Outcome
from services.funding.store.awards import Pick
from services.funding.store.rounds import RoundRow
from shared.db import Transaction
from shared.events.call import Call
from shared.events.funding import ApplicationNotSelected, ApplicationWaitlisted
from shared.ids import new_id


async def decide_scored(tx: Transaction, call_id: str, application_ids: Sequence[str] | None, act: Act) -> None:
    """Decide those of these applications (None: all of the call) that have what it takes and no outcome yet.

    The caller holds the call's lock.
    """
    candidates = await applications.undecided(tx, call_id, application_ids)
    if not candidates:
        return
    call = await calls.known_call(tx, call_id)
    held = {each.round_id: each for each in await rounds.of_call(tx, call_id)}
    for each in candidates:
        if each.round_id in held:
            await _decide(tx, call, held[each.round_id], each, act.because(f"rolling award in {each.round_id}"))


async def _decide(tx: Transaction, call: Call, held: RoundRow, candidate: Candidate, act: Act) -> None:
    claim = claim_eur(candidate.requested_eur, candidate.recommended_eur, call.grant.min_eur)
    if candidate.score < call.rubric.pass_mark:
        await _not_selected(tx, call, held, candidate, claim, "below_pass_mark", act)
        return
    rank = await rounds.next_rank(tx, held.round_id)
    list_over = held.list_ends_at is not None and held.list_ends_at <= act.at
    balance = await calls.known_balance(tx, call.id)
    queued = await waiting_list.stops_newcomers(tx, call, act.at)
    _, (answer,) = allocate(
        balance.envelope, [Claim(candidate.application_id, claim)], call.shortfall, call.grant.min_eur
    )
    if isinstance(answer, Reserved) and not queued:
        await applications.set_outcomes(tx, [Outcome(candidate.application_id, "awarded", None, rank, claim)])
        pick = Pick(new_id(), candidate.application_id, rank, answer.amount_eur, candidate.requested_eur)
        await award(tx, call, held, [pick], act)
    elif list_over:
        await _not_selected(tx, call, held, candidate, claim, "budget_exhausted", act)
    else:
        reason = "envelope_frozen" if balance.envelope.frozen else "envelope_short"
        await applications.set_outcomes(tx, [Outcome(candidate.application_id, "waitlisted", reason, rank, claim)])
        tx.outbox.record(
            ApplicationWaitlisted(
                occurred_at=act.at, call_id=call.id, call_version=call.version, round_id=held.round_id,
                application_id=candidate.application_id, sealed=held.sealed, rank=rank, reason=reason,
            ),
            act.cause,
        )  # fmt: skip


async def _not_selected(
    tx: Transaction, call: Call, held: RoundRow, candidate: Candidate, claim: int, reason: str, act: Act
) -> None:
    await applications.set_outcomes(tx, [Outcome(candidate.application_id, "not_selected", reason, None, claim)])
    tx.outbox.record(
        ApplicationNotSelected.model_validate({
            "occurred_at": act.at, "call_id": call.id, "call_version": call.version, "round_id": held.round_id,
            "application_id": candidate.application_id, "sealed": held.sealed, "reason": reason,
        }),
        act.cause,
    )  # fmt: skip
