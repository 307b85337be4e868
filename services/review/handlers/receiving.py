"""Owns what review makes of intake's facts: it keeps each, and goes on as far as what is known allows.

Facts come in any order across topics: what lacks its call, or its round's closing, waits in its row.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from services.review.handlers.planning import advance, by_call
from services.review.store import applications, assignments, calls
from services.review.store.calls import Round
from shared.db import Transaction
from shared.events.call import Call
from shared.events.intake import ApplicationSubmitted, ApplicationWithdrawn, CallPublished, RoundClosed
from shared.messaging.failures import Permanent
from shared.messaging.records import Delivery
from shared.telemetry import Cause


class WithdrawnBeforeSubmitted(Permanent):
    """An application was withdrawn that was never submitted; data: its id."""


Causes = Mapping[str, Cause]
"""What last caused something in a call, by call."""


async def take_in_calls(deliveries: Sequence[Delivery[CallPublished]], tx: Transaction, now: datetime) -> None:
    """Keep the newest version of each call, and do what was waiting for it."""
    for delivery in sorted(deliveries, key=lambda each: (each.key, each.event.call.version)):
        call = delivery.event.call
        if await calls.save_call(tx, call):
            await advance(tx, call, await calls.lock_rounds(tx, [call.id]), None, now, delivery.cause)


async def take_in_applications(
    deliveries: Sequence[Delivery[ApplicationSubmitted]], tx: Transaction, now: datetime
) -> None:
    """Keep new applications; the last one of a closed round completes it."""
    events = [each.event for each in deliveries]
    known = await calls.share_calls(tx, {each.call_id for each in events})
    rounds = await calls.lock_rounds(tx, {e.call_id for e in events}, ((e.round_id, e.call_id) for e in events))
    await applications.add(tx, events)
    await calls.count_received(tx, Counter(each.round_id for each in events))
    await _advance_all(tx, known, rounds, {each.call_id: () for each in events}, now, _causes(deliveries))


async def take_in_closings(deliveries: Sequence[Delivery[RoundClosed]], tx: Transaction, now: datetime) -> None:
    """Keep what rounds closed with, and complete those whose applications are all here."""
    events = [each.event for each in deliveries]
    known = await calls.share_calls(tx, {each.call_id for each in events})
    await calls.lock_rounds(tx, {each.call_id for each in events}, ((e.round_id, e.call_id) for e in events))
    await calls.close_rounds(tx, [(e.round_id, e.closed_at, e.submitted, e.applications_sha256) for e in events])
    rounds = await calls.lock_rounds(tx, {each.call_id for each in events})
    await _advance_all(tx, known, rounds, {each.call_id: () for each in events}, now, _causes(deliveries))


async def take_in_withdrawals(
    deliveries: Sequence[Delivery[ApplicationWithdrawn]], tx: Transaction, now: datetime
) -> None:
    """Withdrawn applications leave the plan; another of the same organisation may now be its first."""
    events = [each.event for each in deliveries]
    known = await calls.share_calls(tx, {each.call_id for each in events})
    rounds = await calls.lock_rounds(tx, {each.call_id for each in events})
    withdrawn = await applications.withdraw(tx, {each.application_id: each.occurred_at for each in events})
    for each in events:
        if each.application_id not in withdrawn and await applications.home_of(tx, each.application_id) is None:
            # The submission stands before it under the same key; without it the stream itself is broken.
            raise WithdrawnBeforeSubmitted(each.application_id)
    await assignments.release_open_of(tx, withdrawn, now)
    sirets: dict[str, set[str]] = {each.call_id: set() for each in events}
    for each in events:
        if each.application_id in withdrawn:
            sirets[each.call_id].add(withdrawn[each.application_id])
    await _advance_all(tx, known, rounds, sirets, now, _causes(deliveries))


async def _advance_all(
    tx: Transaction, known: Mapping[str, Call], rounds: Sequence[Round], sirets: Mapping[str, Collection[str]],
    now: datetime, causes: Causes,
) -> None:  # fmt: skip
    """Advance every call of a batch that is known. `rounds` are theirs, locked; `sirets` as in `advance`, by call."""
    of_call = by_call(rounds)
    for call_id in sorted(known):
        await advance(tx, known[call_id], of_call[call_id], sirets[call_id], now, causes[call_id])


def _causes(
    deliveries: Sequence[Delivery[ApplicationSubmitted] | Delivery[ApplicationWithdrawn] | Delivery[RoundClosed]],
) -> Causes:
    return {each.event.call_id: each.cause for each in deliveries}
