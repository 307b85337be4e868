"""Owns the rows by which rounds close; it decides nothing."""

from collections.abc import Sequence
from datetime import datetime

from shared.db import Row, Transaction

NEXT = "SELECT min(takes_until) FROM round WHERE closed_at IS NULL"

# Waits for every submission that holds the row shared, and makes the next one wait.
DUE = """
SELECT r.round_id, r.call_id, c.version AS call_version
FROM round r JOIN call c USING (call_id)
WHERE r.closed_at IS NULL AND r.takes_until <= :until
ORDER BY r.takes_until, r.round_id LIMIT 1 FOR UPDATE OF r
"""

MEMBERS = "SELECT application_id::text AS application_id FROM application WHERE round_id = :round_id"

CLOSE = """
UPDATE round SET closed_at = :closed_at, submitted = :submitted, applications_sha256 = :sha256
WHERE round_id = :round_id
"""


async def next_end(tx: Transaction) -> datetime | None:
    """When the next open round stops taking applications, its grace included."""
    found: datetime | None = await tx.fetch_value(NEXT)
    return found


async def lock_due_round(tx: Transaction, until: datetime) -> Row | None:
    """The first open round that took applications until then or before, locked for its closing."""
    return await tx.fetch_one(DUE, until=until)


async def members_of(tx: Transaction, round_id: str) -> Sequence[str]:
    """The ids of a round's applications, withdrawn ones included."""
    return [row["application_id"] for row in await tx.fetch_all(MEMBERS, round_id=round_id)]


async def close_round(tx: Transaction, round_id: str, closed_at: datetime, submitted: int, sha256: str) -> None:
    """Mark a locked round as closed."""
    await tx.execute(CLOSE, round_id=round_id, closed_at=closed_at, submitted=submitted, sha256=sha256)
