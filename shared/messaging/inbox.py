"""Owns the inbox: one narrow row per consumer and event, so that each has its effect once; it keeps no content."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.db import Transaction

# Sorted, because two sessions that insert the same ids in different orders deadlock. Those that were claimed before
# are told, since most often there are none.
CLAIM = """
WITH claimed AS (
    INSERT INTO inbox (consumer, event_id)
    SELECT :consumer, id FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING event_id
)
SELECT CAST(id AS text) AS event_id FROM unnest(CAST(:ids AS uuid[])) AS id
WHERE NOT EXISTS (SELECT FROM claimed WHERE claimed.event_id = id)
"""


async def claim(tx: "Transaction", consumer: str, event_ids: Sequence[str]) -> set[str]:
    """Claim events for a consumer within the transaction of their effect; the ids that were never claimed before."""
    if not event_ids:
        return set()
    rows = await tx.fetch_all(CLAIM, consumer=consumer, ids=list(event_ids))
    return set(event_ids) - {row["event_id"] for row in rows}
