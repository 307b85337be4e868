"""Owns what support reads and asks of letters; it shows no address and sends nothing itself."""

from collections.abc import Sequence
from typing import Any

from services.notify.queue import NOTIFY
from shared.db import Transaction

PAGE = 50
COLUMNS = """
CAST(delivery_id AS text) AS delivery_id, CAST(application_id AS text) AS application_id, template, state, language,
message_id, attempts, waits_for, reason, caused_at, created_at,
CASE WHEN state IN ('waiting', 'refused_for_now') AND ready THEN next_attempt_at END AS next_attempt_at,
ended_at, retried_by
"""
OF_APPLICATION = "AND application_id = CAST(:application_id AS uuid)"
IN_STATE = "AND state = :state"
AFTER = "AND delivery_id < CAST(:after AS uuid)"
# Only what was refused is moved; a letter that waits or is being sent answers the same and stays as it is.
RETRY = """
UPDATE delivery SET state = 'waiting', ready = true, next_attempt_at = clock_timestamp(), ended_at = NULL,
    reason = NULL, refused_since = NULL, retried_by = :subject
WHERE delivery_id = CAST(:id AS uuid) AND state IN ('refused_for_now', 'refused_for_good')
"""
ONE = f"SELECT {COLUMNS} FROM delivery WHERE delivery_id = CAST(:id AS uuid)"  # noqa: S608 - a constant


async def page(
    tx: Transaction, application_id: str | None, state: str | None, after: str | None
) -> Sequence[dict[str, Any]]:
    """Up to 50 letters, newest first, older than `after`."""
    narrowed = {OF_APPLICATION: application_id, IN_STATE: state, AFTER: after}
    conditions = " ".join(condition for condition, value in narrowed.items() if value is not None)
    given = {"application_id": application_id, "state": state, "after": after}
    rows = await tx.fetch_all(
        f"SELECT {COLUMNS} FROM delivery WHERE true {conditions} ORDER BY delivery_id DESC LIMIT :limit",  # noqa: S608
        limit=PAGE,
        **{name: value for name, value in given.items() if value is not None},
    )
    return [dict(row) for row in rows]


async def retry(tx: Transaction, delivery_id: str, subject: str) -> dict[str, Any] | None:
    """Have a refused letter tried again now; the letter as it is afterwards, or None if there is none."""
    if await tx.execute(RETRY, id=delivery_id, subject=subject):
        await tx.execute(NOTIFY)
    row = await tx.fetch_one(ONE, id=delivery_id)
    return dict(row) if row is not None else None
