"""Owns which events review takes in, and hands each batch to its handler; it decides nothing."""

from collections.abc import Sequence
from datetime import datetime

from services.review.handlers import receiving
from shared.db import Transaction
from shared.events.intake import ApplicationSubmitted, ApplicationWithdrawn, CallPublished, RoundClosed
from shared.messaging.records import Delivery
from shared.messaging.subscriptions import Subscriptions

subscribe = Subscriptions("review")


@subscribe(CallPublished)
async def on_call_published(deliveries: Sequence[Delivery[CallPublished]], tx: Transaction, now: datetime) -> None:
    """A call, or a new version of it."""
    await receiving.take_in_calls(deliveries, tx, now)


@subscribe(ApplicationSubmitted)
async def on_application_submitted(
    deliveries: Sequence[Delivery[ApplicationSubmitted]], tx: Transaction, now: datetime
) -> None:
    """New applications."""
    await receiving.take_in_applications(deliveries, tx, now)


@subscribe(ApplicationWithdrawn)
async def on_application_withdrawn(
    deliveries: Sequence[Delivery[ApplicationWithdrawn]], tx: Transaction, now: datetime
) -> None:
    """Withdrawn applications."""
    await receiving.take_in_withdrawals(deliveries, tx, now)


@subscribe(RoundClosed)
async def on_round_closed(deliveries: Sequence[Delivery[RoundClosed]], tx: Transaction, now: datetime) -> None:
    """Rounds that took their last application."""
    await receiving.take_in_closings(deliveries, tx, now)
