"""Owns what each event means for letters: facts to keep and letters that become due; it writes and sends none.

A letter that becomes due before its facts are there waits for them: every fact asks the mailer to look again. So the
order in which topics arrive decides nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.notify import queue, store
from services.notify.domain.letters import letter_of_outcome, letter_of_release
from services.notify.queue import Due
from services.notify.store import Fact
from shared.db import Transaction
from shared.events.base import ApplicationEvent
from shared.events.funding import (
    ApplicationNotSelected,
    ApplicationWaitlisted,
    GrantAwarded,
    GrantReleased,
    OutcomeAnnounced,
)
from shared.events.intake import (
    ApplicationSubmitted,
    ApplicationWithdrawn,
    CallPublished,
    ContactUpdated,
    SignInRequested,
)
from shared.events.review import ApplicationInadmissible, Scored
from shared.messaging.records import Delivery, Erasure

Outcome = GrantAwarded | ApplicationWaitlisted | ApplicationNotSelected


async def take_in_calls(deliveries: Sequence[Delivery[CallPublished]], tx: Transaction, now: datetime) -> None:
    """Keep the newest version of each call."""
    await store.keep_calls(tx, [delivery.event.call for delivery in deliveries])
    await queue.look_again(tx, call_ids=[delivery.event.call_id for delivery in deliveries])


async def receipt_submissions(
    deliveries: Sequence[Delivery[ApplicationSubmitted]], tx: Transaction, now: datetime
) -> None:
    """Keep what letters say of each application; its receipt is due."""
    await store.keep_applications(tx, [delivery.event for delivery in deliveries])
    await _look_again(tx, deliveries)  # before there are receipts: new letters are looked at anyway
    await queue.add(tx, [_due(delivery, "receipt") for delivery in deliveries])


async def acknowledge_withdrawals(
    deliveries: Sequence[Delivery[ApplicationWithdrawn]], tx: Transaction, now: datetime
) -> None:
    """A withdrawal is acknowledged at once, in words that are the same whatever was decided."""
    await queue.add(tx, [_due(each, "withdrawn", {"reason": each.event.reason}) for each in deliveries])


async def take_in_contacts(deliveries: Sequence[Delivery[ContactUpdated]], tx: Transaction, now: datetime) -> None:
    """Keep the newest name, address and language of each applicant."""
    await store.keep_contacts(tx, [(delivery.event, delivery.sequence) for delivery in deliveries])
    await queue.look_again(tx, applicant_ids=[delivery.key for delivery in deliveries])


async def erase_contacts(erasures: Sequence[Erasure], tx: Transaction, now: datetime) -> None:
    """Forget who the applicants are, wherever it is written here; the mailer ends the letters still due."""
    await store.erase_contacts(tx, [(erasure.key, erasure.sequence) for erasure in erasures])
    await queue.forget(tx, [erasure.key for erasure in erasures])


async def send_links(deliveries: Sequence[Delivery[SignInRequested]], tx: Transaction, now: datetime) -> None:
    """A sign-in link is sent to the applicant's address."""
    dues = []
    for each in deliveries:
        words = {"link": each.event.link, "expires_at": each.event.expires_at.isoformat()}
        dues.append(
            Due(
                each.event_id, "sign_in", each.cause.traceparent, each.event.occurred_at,
                applicant_id=each.key, words=words,
            )
        )  # fmt: skip
    await queue.add(tx, dues)


async def take_in_inadmissible(
    deliveries: Sequence[Delivery[ApplicationInadmissible]], tx: Transaction, now: datetime
) -> None:
    """Keep why an application is inadmissible; funding says when it may be told."""
    await _keep(tx, "inadmissible", deliveries)


async def take_in_scores(deliveries: Sequence[Delivery[Scored]], tx: Transaction, now: datetime) -> None:
    """Keep the committee's marks for the letter of the outcome."""
    await _keep(tx, "scored", deliveries)


async def take_in_awards(deliveries: Sequence[Delivery[GrantAwarded]], tx: Transaction, now: datetime) -> None:
    """Keep the award; tell it if it is not sealed."""
    await _take_in_outcomes(tx, "awarded", deliveries)


async def take_in_waitlisted(
    deliveries: Sequence[Delivery[ApplicationWaitlisted]], tx: Transaction, now: datetime
) -> None:
    """Keep the place on the waiting list; tell it if it is not sealed."""
    await _take_in_outcomes(tx, "waitlisted", deliveries)


async def take_in_not_selected(
    deliveries: Sequence[Delivery[ApplicationNotSelected]], tx: Transaction, now: datetime
) -> None:
    """Keep the refusal; tell it if it is not sealed."""
    await _take_in_outcomes(tx, "not_selected", deliveries)


async def tell_releases(deliveries: Sequence[Delivery[GrantReleased]], tx: Transaction, now: datetime) -> None:
    """A grant that was declined, lapsed or revoked is told; one that was withdrawn was acknowledged already."""
    dues = []
    for each in deliveries:
        template = letter_of_release(each.event.reason, sealed=each.event.sealed)
        if template is not None:
            dues.append(_due(each, template, {"amount_eur": each.event.amount_eur}))
    await queue.add(tx, dues)


async def tell_outcomes(deliveries: Sequence[Delivery[OutcomeAnnounced]], tx: Transaction, now: datetime) -> None:
    """The outcome that is current at the announcement may be told; what it replaced while sealed gives no letter."""
    await queue.add(tx, [_due(each, each.event.outcome, fact_until=_fact_until(each)) for each in deliveries])


async def _take_in_outcomes(tx: Transaction, outcome: str, deliveries: Sequence[Delivery[Any]]) -> None:
    await _keep(tx, outcome, deliveries)
    told = [each for each in deliveries if letter_of_outcome(outcome, sealed=each.event.sealed)]
    await queue.add(tx, [_due(each, outcome, fact_until=each.sequence) for each in told])


async def _keep(tx: Transaction, kind: str, deliveries: Sequence[Delivery[Any]]) -> None:
    facts = [
        Fact(each.key, kind, each.sequence, each.event.occurred_at, each.event.model_dump_json()) for each in deliveries
    ]
    await store.keep_facts(tx, facts)
    await _look_again(tx, deliveries)


async def _look_again(tx: Transaction, deliveries: Sequence[Delivery[Any]]) -> None:
    await queue.look_again(tx, application_ids=[delivery.key for delivery in deliveries])


def _fact_until(announced: Delivery[OutcomeAnnounced]) -> int | None:
    """Outcomes of funding stand before their announcement on the same key; inadmissibility is review's to say."""
    return None if announced.event.outcome == "inadmissible" else announced.sequence


def _due(
    delivery: Delivery[Any], template: str, words: dict[str, Any] | None = None, fact_until: int | None = None
) -> Due:
    event: ApplicationEvent = delivery.event
    return Due(
        delivery.event_id,
        template,
        delivery.cause.traceparent,
        event.occurred_at,
        application_id=event.application_id,
        call_id=event.call_id,
        call_version=event.call_version,
        round_id=event.round_id,
        fact_until=fact_until,
        words=words or {},
    )
