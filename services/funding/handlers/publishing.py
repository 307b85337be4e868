"""Owns what funding does with a published call: its envelope and dates, and whatever had waited for them."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from services.funding.domain import deadlines
from services.funding.domain.envelope import Envelope, change_total
from services.funding.handlers import announcing, readiness, rolling, waiting_list
from services.funding.handlers.acting import Act
from services.funding.store import calls, flags, ledger, rounds
from services.funding.store.flags import Flag
from services.funding.store.rounds import RoundDates
from shared.db import Transaction
from shared.events.call import Call
from shared.events.funding import EnvelopeSet
from shared.events.intake import CallPublished
from shared.messaging.records import Delivery


async def take_in_calls(deliveries: Sequence[Delivery[CallPublished]], tx: Transaction, now: datetime) -> None:
    """Keep call files in the order of their versions; an old version changes nothing any more."""
    await calls.lock_calls(tx, [d.event.call_id for d in deliveries])
    for delivery in deliveries:
        call = delivery.event.call
        if await calls.keep(tx, call):
            act = Act(now, delivery.cause, "intake", f"call published, version {call.version}")
            await _take_in(tx, call, delivery.event_id, act)


async def _take_in(tx: Transaction, call: Call, event_id: str, act: Act) -> None:
    await rounds.drop_others(tx, call.id, [each.id for each in call.rounds])
    await rounds.mention(tx, [(each.id, call.id) for each in call.rounds])
    await rounds.set_dates(tx, dates_of(call), rolling=call.allocation == "rolling")
    raised = await _set_envelope(tx, call, event_id, act)
    if call.inadmissible_told == "at_once" or call.allocation == "rolling":
        await announcing.tell_refused(tx, call, None, act)
    if call.allocation == "rolling":
        await rolling.decide_scored(tx, call.id, None, act)
    await readiness.settle(tx, [each.id for each in call.rounds], act)
    if raised:
        await waiting_list.serve(tx, call, act.because("the envelope was raised"))


def dates_of(call: Call) -> list[RoundDates]:
    """The dates of a call's rounds, with the end of each waiting list."""
    ordered = sorted(call.rounds, key=lambda each: each.closes_at)
    later = {before.id: after.announce_at for before, after in pairwise(ordered)}
    return [
        RoundDates(
            each.id, each.opens_at, each.closes_at, each.announce_at,
            deadlines.list_ends_at(each.list_ends_at, later.get(each.id), call.project.ends_by, call.zone),
        )
        for each in ordered
    ]  # fmt: skip


async def _set_envelope(tx: Transaction, call: Call, event_id: str, act: Act) -> bool:
    """Bring the ledger to the call's envelope as far as it goes; whether there is more money than before."""
    balance = await calls.load_balance(tx, call.id)
    envelope = balance.envelope if balance else Envelope(0)
    change = change_total(envelope, call.envelope_eur)
    await calls.note_unmet_reduction(tx, call.id, change.unmet_eur)
    if change.unmet_eur:
        detail = f"version {call.version}: {change.unmet_eur} € of the reduction are reserved or committed"
        await flags.raise_flag(tx, Flag(call.id, None, None, "envelope_reduction_short", detail, event_id, act.at))
    if not change.moved_eur:
        return False
    into, out_of = ("available", "source") if change.moved_eur > 0 else ("source", "available")
    posting = ledger.Posting(call.id, "set_envelope", into, act.who, act.why, act.at)  # type: ignore[arg-type]
    number = await ledger.append(tx, posting, [ledger.Movement(out_of, abs(change.moved_eur))])  # type: ignore[arg-type]
    tx.outbox.record(
        EnvelopeSet(
            occurred_at=act.at, call_id=call.id, call_version=call.version,
            envelope_eur=envelope.total_eur + change.moved_eur, ledger_entry=number,
        ),
        act.cause,
    )  # fmt: skip
    return balance is not None and change.moved_eur > 0
