"""Owns the unsealing: a round is announced once, with every outcome, in one transaction (`docs/design.md` §7, Tell)."""

from collections.abc import Sequence
from datetime import datetime

from services.funding.handlers.acting import Act, record_all
from services.funding.store import applications, calls, rounds
from services.funding.store.applications import Told
from shared.db import Transaction
from shared.events.call import Call
from shared.events.funding import OutcomeAnnounced, RoundAnnounced
from shared.telemetry import Cause


async def next_announcement(tx: Transaction) -> datetime | None:
    """When the next round is to be announced."""
    due = await rounds.next_to_announce(tx)
    return due[0] if due else None


async def announce_due(tx: Transaction, now: datetime, cause: Cause) -> None:
    """Announce the one round that is due first: at `announce_at`, or at the decision if that is later."""
    due = await rounds.next_to_announce(tx)
    if due is None or due[0] > now:
        return
    _, round_id, call_id = due
    await calls.lock_calls(tx, [call_id])
    if not await rounds.announce(tx, round_id, now):
        return
    call = await calls.known_call(tx, call_id)
    tx.outbox.record(
        RoundAnnounced(
            occurred_at=now, call_id=call_id, call_version=call.version, round_id=round_id, announced_at=now
        ),
        cause,
    )
    told = await applications.tell_round(tx, round_id, now)
    await _announce(tx, call, told, Act(now, cause, "timer", "announcement"))


async def tell_refused(tx: Transaction, call: Call, application_ids: Sequence[str] | None, act: Act) -> None:
    """Tell inadmissibility at once, where the call says so or allocates rolling; each application once.

    None for all of the call: those that came before the call's file.
    """
    await _announce(tx, call, await applications.tell_refused(tx, call.id, application_ids, act.at), act)


async def _announce(tx: Transaction, call: Call, told: Sequence[Told], act: Act) -> None:
    await record_all(
        tx,
        (
            OutcomeAnnounced.model_validate({
                "occurred_at": act.at, "call_id": call.id, "call_version": call.version, "round_id": each.round_id,
                "application_id": each.application_id, "outcome": each.outcome,
            })
            for each in sorted(told, key=lambda each: each.application_id)
        ),
        act.cause,
    )  # fmt: skip
