"""Owns which events intake listens to; each goes to one handler, and what it means is said there."""

from collections.abc import Sequence
from datetime import datetime

from services.intake.handlers import learn
from shared.db import Transaction
from shared.events.base import ApplicationEvent
from shared.events.funding import RoundAnnounced
from shared.messaging.records import Delivery
from shared.messaging.subscriptions import Subscriptions

subscribe = Subscriptions("intake")


async def on_fact(deliveries: Sequence[Delivery[ApplicationEvent]], tx: Transaction, now: datetime) -> None:
    """Something became true about applications."""
    await learn.keep_facts(tx, deliveries)


for event_type in learn.KINDS:
    subscribe(event_type)(on_fact)


@subscribe(RoundAnnounced)
async def on_round_announced(deliveries: Sequence[Delivery[RoundAnnounced]], tx: Transaction, now: datetime) -> None:
    """Rounds were announced."""
    await learn.keep_announcements(tx, deliveries)
