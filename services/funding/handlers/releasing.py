"""Owns the way back: money of grants that came to nothing returns by counter-entries, and the list is served."""

from collections.abc import Sequence

from services.funding.domain.grants import ReleaseReason, held_in, may_release
from services.funding.handlers import waiting_list
from services.funding.handlers.acting import Act
from services.funding.store import awards, calls, ledger, rounds
from services.funding.store.awards import AwardRow
from shared.crashpoints import crash_point
from shared.db import Transaction
from shared.events.funding import GrantReleased


async def release(tx: Transaction, call_id: str, held: Sequence[AwardRow], reason: ReleaseReason, act: Act) -> None:
    """Release those of a call's grants whose state allows it, then serve the waiting list, in this transaction.

    The caller holds the call's lock and has read the grants under it.
    """
    to_release = [each for each in held if may_release(each.state, reason)]
    if not to_release:
        return
    call = await calls.known_call(tx, call_id)
    posting = ledger.Posting(call_id, "release", "available", act.who, act.why, act.at)
    movements = [
        ledger.Movement(held_in(a.state) or "reserved", a.amount_eur, a.application_id, a.grant_id) for a in to_release
    ]
    first = await ledger.append(tx, posting, movements)
    entries = list(enumerate(to_release, start=first))
    await awards.release(tx, [(a.grant_id, number) for number, a in entries], reason, act.at, act.why)
    sealed = {each.round_id: each.sealed for each in await rounds.load(tx, {a.round_id for a in to_release})}
    for number, each in entries:
        tx.outbox.record(
            GrantReleased(
                occurred_at=act.at, call_id=call_id, call_version=call.version, round_id=each.round_id,
                application_id=each.application_id, sealed=sealed[each.round_id], grant_id=each.grant_id,
                amount_eur=each.amount_eur, reason=reason, ledger_entry=number,
            ),
            act.cause,
        )  # fmt: skip
    crash_point("funding.released")
    await waiting_list.serve(tx, call, act.because(f"{reason}: what came back"))
