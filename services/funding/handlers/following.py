"""Owns what becomes of a grant: answers, convention, start, completion, revocation, and lapsing when nothing comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.funding.domain import deadlines, grants
from services.funding.domain.grants import Answer, Conflict, DateRefused, Done, Milestones, Repeated
from services.funding.handlers import releasing
from services.funding.handlers.acting import Act, Refusal
from services.funding.store import awards, calls, flags, ledger, rounds
from services.funding.store.awards import AwardRow
from services.funding.store.flags import Flag
from shared.db import Transaction
from shared.events.call import Call
from shared.events.funding import ConventionSigned, ProjectCompleted, ProjectStarted
from shared.events.intake import GrantAccepted, GrantDeclined
from shared.messaging.records import Delivery
from shared.telemetry import Cause

LAPSES_AT_ONCE = 100


async def take_in_acceptances(deliveries: Sequence[Delivery[GrantAccepted]], tx: Transaction, now: datetime) -> None:
    """Keep acceptances that find their grant awarded; any other only shows as a flag."""
    await calls.lock_calls(tx, [d.event.call_id for d in deliveries])
    for delivery in deliveries:
        event = delivery.event
        held = await _answered(tx, event)
        if held is None or held.state != "awarded":
            await _not_counted(tx, delivery, held)
            continue
        call = await calls.known_call(tx, held.call_id)
        due = deadlines.sign_by(event.occurred_at, call.convention_within_days, call.zone)
        await awards.accept(tx, held.grant_id, event.occurred_at, deadlines.lapses_at(due, call.zone))


async def take_in_refusals(deliveries: Sequence[Delivery[GrantDeclined]], tx: Transaction, now: datetime) -> None:
    """Release declined grants; a decline that comes after the grant was resolved only shows as a flag."""
    await calls.lock_calls(tx, [d.event.call_id for d in deliveries])
    for delivery in deliveries:
        held = await _answered(tx, delivery.event)
        if held is None or not grants.may_release(held.state, "declined"):
            await _not_counted(tx, delivery, held)
            continue
        act = Act(now, delivery.cause, "applicant", "the grant was declined")
        await releasing.release(tx, held.call_id, [held], "declined", act)


async def _answered(tx: Transaction, event: GrantAccepted | GrantDeclined) -> AwardRow | None:
    held = (await awards.by_grant(tx, [event.grant_id])).get(event.grant_id)
    return held if held is not None and held.application_id == event.application_id else None


async def _not_counted(
    tx: Transaction, delivery: Delivery[GrantAccepted] | Delivery[GrantDeclined], held: AwardRow | None
) -> None:
    event = delivery.event
    answer = "accepted" if isinstance(event, GrantAccepted) else "declined"
    found = f"the grant is {held.state}" if held else "funding holds no such grant"
    await flags.raise_flag(
        tx,
        Flag(
            event.call_id, event.round_id, event.application_id, "answer_not_counted", f"{answer}, but {found}",
            delivery.event_id, event.occurred_at,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Following:
    """A grant under its call's lock, and the call that it belongs to."""

    held: AwardRow
    call: Call

    @property
    def milestones(self) -> Milestones:
        """What the rules look at."""
        return self.held.milestones


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step that is recorded, now or before: the grant as it is after."""

    held: AwardRow


async def sign(tx: Transaction, grant_id: str, signed_on: date, act: Act) -> Recorded | Refusal:
    """Record the convention: reserved money is committed."""
    following = await _lock(tx, grant_id)
    if following is None:
        return _unknown(grant_id)
    call, held = following.call, following.held
    answer = grants.sign(following.milestones, signed_on, deadlines.local_day(act.at, call.zone))
    if not isinstance(answer, Done):
        return _settled(answer, held, "signed_on")
    movement = ledger.Movement("reserved", held.amount_eur, held.application_id, grant_id)
    entry = await ledger.append(
        tx, ledger.Posting(call.id, "commit", "committed", act.who, "convention signed", act.at), [movement]
    )
    due = deadlines.start_by(signed_on, call.project.starts_within_months, call.zone)
    await awards.sign(tx, grant_id, signed_on, entry, deadlines.lapses_at(due, call.zone))
    tx.outbox.record(
        ConventionSigned(
            **await _identity(tx, following, act), amount_eur=held.amount_eur, signed_on=signed_on, ledger_entry=entry
        ),
        act.cause,
    )
    return await _recorded(tx, grant_id)


async def start(tx: Transaction, grant_id: str, started_on: date, act: Act) -> Recorded | Refusal:
    """Record the project's start."""
    following = await _lock(tx, grant_id)
    if following is None:
        return _unknown(grant_id)
    call, held = following.call, following.held
    signed_on = held.signed_on or started_on
    latest = deadlines.local_day(deadlines.start_by(signed_on, call.project.starts_within_months, call.zone), call.zone)
    answer = grants.start(following.milestones, started_on, deadlines.local_day(act.at, call.zone), latest)
    if not isinstance(answer, Done):
        return _settled(answer, held, "started_on")
    await awards.start(tx, grant_id, started_on)
    tx.outbox.record(ProjectStarted(**await _identity(tx, following, act), started_on=started_on), act.cause)
    return await _recorded(tx, grant_id)


async def complete(tx: Transaction, grant_id: str, completed_on: date, act: Act) -> Recorded | Refusal:
    """Record the project's end."""
    following = await _lock(tx, grant_id)
    if following is None:
        return _unknown(grant_id)
    call, held = following.call, following.held
    answer = grants.complete(
        following.milestones, completed_on, deadlines.local_day(act.at, call.zone), call.project.ends_by
    )
    if not isinstance(answer, Done):
        return _settled(answer, held, "completed_on")
    await awards.complete(tx, grant_id, completed_on)
    tx.outbox.record(ProjectCompleted(**await _identity(tx, following, act), completed_on=completed_on), act.cause)
    return await _recorded(tx, grant_id)


async def revoke(tx: Transaction, grant_id: str, act: Act) -> Recorded | Refusal:
    """Take a grant back for the act's reason, and serve the waiting list."""
    following = await _lock(tx, grant_id)
    if following is None:
        return _unknown(grant_id)
    answer = grants.revoke(following.milestones, act.why)
    if not isinstance(answer, Done):
        return _settled(answer, following.held, "reason")
    await releasing.release(tx, following.held.call_id, [following.held], "revoked", act)
    return await _recorded(tx, grant_id)


async def _lock(tx: Transaction, grant_id: str) -> Following | None:
    found = (await awards.by_grant(tx, [grant_id])).get(grant_id)
    if found is None:
        return None
    await calls.lock_calls(tx, [found.call_id])
    held = (await awards.by_grant(tx, [grant_id]))[grant_id]
    return Following(held, await calls.known_call(tx, held.call_id))


def _unknown(grant_id: str) -> Refusal:
    return Refusal("grant_unknown", f"No grant has the id {grant_id}.")


def _settled(answer: Answer, held: AwardRow, field: str) -> Recorded | Refusal:
    match answer:
        case Repeated():
            return Recorded(held)
        case Conflict(state, why):
            return Refusal("state_conflict", f"{why} This one is {state}.")
        case DateRefused(why):
            return Refusal("dates_outside_calendar", why, field)
        case Done():
            raise AssertionError("unreachable: what may be done is done by the caller")


async def _identity(tx: Transaction, following: Following, act: Act) -> dict[str, object]:
    held = following.held
    announced = await rounds.load_one(tx, held.round_id)
    return {
        "occurred_at": act.at, "call_id": held.call_id, "call_version": following.call.version,
        "round_id": held.round_id, "application_id": held.application_id, "grant_id": held.grant_id,
        "sealed": announced is None or announced.sealed,
    }  # fmt: skip


async def _recorded(tx: Transaction, grant_id: str) -> Recorded:
    return Recorded((await awards.by_grant(tx, [grant_id]))[grant_id])


async def next_lapse(tx: Transaction) -> datetime | None:
    """When the next grant lapses."""
    due = await awards.next_lapse(tx)
    return due[0] if due else None


async def lapse_due(tx: Transaction, now: datetime, cause: Cause) -> None:
    """Release a piece of one call's grants whose time has passed: unanswered, unsigned or unstarted."""
    due = await awards.next_lapse(tx)
    if due is None or due[0] > now:
        return
    _, call_id = due
    await calls.lock_calls(tx, [call_id])
    lapsing = await awards.lapsing(tx, call_id, now, LAPSES_AT_ONCE)
    act = Act(now, cause, "timer", "nothing came in time")
    await releasing.release(tx, call_id, lapsing, "lapsed", act)
