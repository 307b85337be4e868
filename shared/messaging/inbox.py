"""Owns the inbox: one narrow row per consumer and event, so that each has its effect once; it keeps no content."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.db import Transaction

# Sorted, because two sessions that insert the same ids in different orders deadlock.
CLAIM = """
INSERT INTO inbox (consumer, event_id)
SELECT :consumer, id FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY id
ON CONFLICT DO NOTHING
RETURNING CAST(event_id AS text) AS event_id
"""


async def claim(tx: "Transaction", consumer: str, event_ids: Sequence[str]) -> set[str]:
    """Claim events for a consumer within the transaction of their effect; the ids that were never claimed before."""
    if not event_ids:
        return set()
    rows = await tx.fetch_all(CLAIM, consumer=consumer, ids=list(event_ids))
    return {row["event_id"] for row in rows}
