"""Owns the end of a letter: its state and the event that says so, in one transaction; it sends nothing."""

from datetime import datetime

from services.notify import queue
from services.notify.domain.letters import End
from shared.db import Transaction
from shared.events.notify import ApplicantNotified, NotificationFailed
from shared.telemetry import Cause
from shared.web.languages import DEFAULT, Language


async def end_letter(
    tx: Transaction,
    delivery_id: str,
    state: End,
    now: datetime,
    *,
    claim_id: str | None = None,
    reason: str | None = None,
    language: Language | None = None,
) -> bool:
    """End a letter and say so on notify.deliveries; False if it is no longer this claim's.

    A sign-in link belongs to no application: its end is in the row alone.
    """
    row = await queue.end(tx, delivery_id, state, now, claim_id=claim_id, reason=reason, language=language)
    if row is None:
        return False
    if row["application_id"] is None:
        return True
    said = {
        "occurred_at": now,
        "call_id": row["call_id"],
        "call_version": row["call_version"],
        "round_id": row["round_id"],
        "application_id": row["application_id"],
        "delivery_id": row["delivery_id"],
        "template": row["template"],
        "language": row["language"] or DEFAULT,
        "message_id": row["message_id"],
        "attempts": row["attempts"],
    }
    event = ApplicantNotified(**said) if state == "sent" else NotificationFailed(**said, reason=reason or state)
    tx.outbox.record(event, cause=Cause(row["event_id"], row["traceparent"]))
    return True
