"""Owns the acts of operations: asking a service to replay or dismiss what it set aside; the service obeys and logs."""

from datetime import datetime
from typing import Literal

from services.ops import past
from shared.db import Transaction
from shared.events.ops import DismissalRequested, ReplayRequested
from shared.history.dead_letters import DeadLetter
from shared.telemetry import Cause

Answer = Literal["requested", "requested_before", "unknown", "keyless"]


async def dead_letter(tx: Transaction, letter_id: str) -> DeadLetter | None:
    """The dead letter of that id, None if the index has none."""
    return next((each for each in await past.all_dead_letters(tx) if each.id == letter_id), None)


async def request_replay(tx: Transaction, letter_id: str, by: str, now: datetime, cause: Cause) -> Answer:
    """Ask for the replay of a dead letter's key, in order, once: a key that fails again is a new dead letter."""
    letter = await dead_letter(tx, letter_id)
    if letter is None:
        return "unknown"
    if not letter.origin_key:
        return "keyless"
    if not letter.open:
        return "requested_before"
    asked = ReplayRequested(
        occurred_at=now,
        service=letter.service,
        consumer=letter.consumer,
        origin_key=letter.origin_key,
        requested_by=by,
    )
    tx.outbox.record(asked, cause)
    return "requested"


async def request_dismissal(
    tx: Transaction, letter_id: str, because: str, by: str, now: datetime, cause: Cause
) -> Answer:
    """Ask that a dead letter be let go, once. Its service tries it again instead if it can be read by now."""
    letter = await dead_letter(tx, letter_id)
    if letter is None:
        return "unknown"
    if not letter.open:
        return "requested_before"
    asked = DismissalRequested(
        occurred_at=now,
        service=letter.service,
        consumer=letter.consumer,
        origin_topic=letter.origin_topic,
        origin_partition=letter.origin_partition,
        origin_offset=letter.origin_offset,
        because=because,
        requested_by=by,
    )
    tx.outbox.record(asked, cause)
    return "requested"
