"""Owns how facts about applications come in, from intake and review, in whatever order the two topics bring them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from services.funding.handlers import announcing, readiness, releasing, rolling
from services.funding.handlers.acting import Act
from services.funding.store import applications, awards, calls, flags, rounds
from services.funding.store.applications import Named, Review, Touched
from services.funding.store.calls import CallRow
from services.funding.store.flags import Flag
from shared.db import Transaction
from shared.events.base import ApplicationEvent
from shared.events.intake import ApplicationSubmitted, ApplicationWithdrawn, RoundClosed
from shared.events.review import ApplicationInadmissible, Scored, ScoreVoided
from shared.messaging.records import Delivery


async def take_in_submissions(
    deliveries: Sequence[Delivery[ApplicationSubmitted]], tx: Transaction, now: datetime
) -> None:
    """Keep submitted applications; what review said of one before counts from now."""
    locked = await _lock(tx, deliveries)
    events = {d.event.application_id: d.event for d in reversed(deliveries)}
    touched = await applications.take_in_submissions(tx, list(events.values()))
    await _follow(tx, locked, touched, deliveries, now)


async def take_in_withdrawals(
    deliveries: Sequence[Delivery[ApplicationWithdrawn]], tx: Transaction, now: datetime
) -> None:
    """Keep withdrawals; money that an application holds comes back, sealed if its round is."""
    locked = await _lock(tx, deliveries)
    first = {d.event.application_id: d for d in reversed(deliveries)}
    withdrawn = [(_named(d.event), d.event.occurred_at) for d in first.values()]
    touched = await applications.take_in_withdrawals(tx, withdrawn)
    await _follow(tx, locked, touched, deliveries, now)
    for held in await awards.by_application(tx, first):
        act = Act(now, first[held.application_id].cause, "applicant", "the application was withdrawn")
        await releasing.release(tx, held.call_id, [held], "withdrawn", act)


async def take_in_closings(deliveries: Sequence[Delivery[RoundClosed]], tx: Transaction, now: datetime) -> None:
    """Keep what intake counted when it closed a round."""
    await calls.lock_calls(tx, [d.event.call_id for d in deliveries])
    await rounds.mention(tx, [(d.event.round_id, d.event.call_id) for d in deliveries])
    for delivery in deliveries:
        event = delivery.event
        await rounds.close(
            tx, event.round_id, event.closed_at, event.call_version, event.submitted, event.applications_sha256
        )
        await readiness.settle(tx, [event.round_id], Act(now, delivery.cause, "intake", "the round closed"))


async def take_in_refusals(
    deliveries: Sequence[Delivery[ApplicationInadmissible]], tx: Transaction, now: datetime
) -> None:
    """Keep inadmissible applications, and tell at once where the call wants it so."""
    locked = await _lock(tx, deliveries)
    first = {d.event.application_id: d for d in reversed(deliveries)}
    refused = [(_named(d.event), d.sequence, d.event.occurred_at) for d in first.values()]
    touched = await applications.take_in_refusals(tx, refused)
    for call_id in _at_once(locked):
        call = await calls.known_call(tx, call_id)
        for delivery in first.values():
            if delivery.event.call_id == call_id:
                act = Act(now, delivery.cause, "review", "inadmissible")
                await announcing.tell_refused(tx, call, [delivery.event.application_id], act)
    late = (_late(d, "inadmissible_after_decision", d.event.reason[:200]) for d in deliveries)
    await _flag(tx, locked, touched, late)
    await _follow(tx, locked, touched, deliveries, now)


async def take_in_scores(deliveries: Sequence[Delivery[Scored]], tx: Transaction, now: datetime) -> None:
    """Keep scores, the latest of each application; after its decision a score only flags."""
    locked = await _lock(tx, deliveries)
    last = {d.event.application_id: d for d in sorted(deliveries, key=lambda each: each.sequence)}
    reviews = [
        Review(_named(d.event), d.sequence, d.event.score, dict(d.event.criteria), d.event.recommended_eur)
        for d in last.values()
    ]
    touched = await applications.take_in_reviews(tx, reviews)
    late = (_late(d, "scored_after_decision", f"revision {d.event.revision}: {d.event.score}") for d in deliveries)
    await _flag(tx, locked, touched, late)
    await _follow(tx, locked, touched, deliveries, now)


async def take_in_voids(deliveries: Sequence[Delivery[ScoreVoided]], tx: Transaction, now: datetime) -> None:
    """Drop voided scores: the round waits for another; after the decision a void only flags."""
    locked = await _lock(tx, deliveries)
    last = {d.event.application_id: d for d in sorted(deliveries, key=lambda each: each.sequence)}
    reviews = [Review(_named(d.event), d.sequence, None, None, None) for d in last.values()]
    touched = await applications.take_in_reviews(tx, reviews)
    late = (_late(d, "voided_after_decision", f"revision {d.event.revision}") for d in deliveries)
    await _flag(tx, locked, touched, late)
    await _follow(tx, locked, touched, deliveries, now)


async def _lock(tx: Transaction, deliveries: Sequence[Delivery[Any]]) -> dict[str, CallRow]:
    """Lock the calls of a batch and make sure that its rounds have their counters."""
    locked = await calls.lock_calls(tx, {d.event.call_id for d in deliveries})
    named = {(d.event.round_id, d.event.call_id) for d in deliveries if d.event.round_id is not None}
    await rounds.mention(tx, named)
    return locked


async def _follow(
    tx: Transaction, locked: dict[str, CallRow], touched: Iterable[Touched], deliveries: Sequence[Delivery[Any]],
    now: datetime,
) -> None:  # fmt: skip
    """Do what may follow from a batch of facts: rolling awards, and readiness of the rounds that it touched."""
    by_call: dict[str, list[Delivery[Any]]] = {}
    for delivery in deliveries:
        by_call.setdefault(delivery.event.call_id, []).append(delivery)
    for call_id, received in by_call.items():
        act = Act(now, received[-1].cause, "funding", "all that the decision needs was received")
        if locked[call_id].allocation == "rolling":
            await rolling.decide_scored(tx, call_id, [d.event.application_id for d in received], act)
        candidates = [each.round_id for each in touched if each.call_id == call_id and readiness.could_settle(each)]
        if candidates:
            await readiness.settle(tx, candidates, act)


def _named(event: ApplicationEvent) -> Named:
    return Named(event.application_id, event.call_id, event.round_id)


def _at_once(locked: dict[str, CallRow]) -> list[str]:
    return [
        row.call_id
        for row in locked.values()
        if row.version is not None and (row.inadmissible_told == "at_once" or row.allocation == "rolling")
    ]


def _late(delivery: Delivery[Any], kind: str, detail: str) -> Flag:
    event = delivery.event
    return Flag(event.call_id, event.round_id, event.application_id, kind, detail, delivery.event_id, event.occurred_at)


async def _flag(tx: Transaction, locked: dict[str, CallRow], touched: Iterable[Touched], late: Iterable[Flag]) -> None:
    """Raise flags on what is decided; most batches touch nothing that could be."""
    rolling_call = any(row.allocation == "rolling" for row in locked.values())
    if rolling_call or any(each.decided_at is not None for each in touched):
        await flags.raise_if_decided(tx, list(late))
