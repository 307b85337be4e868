"""Owns the one act of operations: asking a service to replay what it set aside; the service obeys and logs."""

from datetime import datetime
from typing import Literal

from services.ops import past
from shared.db import Transaction
from shared.events.ops import ReplayRequested
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
