"""Owns flags: facts that came too late to change a decision, kept where officers see them; they move no money."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.db import Transaction

# Only what was decided can be flagged: before that, the fact simply counts.
RAISE_DECIDED = """
INSERT INTO flag (call_id, round_id, application_id, kind, detail, event_id, occurred_at)
SELECT a.call_id, a.round_id, a.application_id, f.kind, f.detail, f.event_id, f.occurred_at
FROM unnest(CAST(:applications AS uuid[]), CAST(:kinds AS text[]), CAST(:details AS text[]), CAST(:events AS uuid[]),
            CAST(:times AS timestamptz[])) AS f (application_id, kind, detail, event_id, occurred_at)
JOIN application a USING (application_id) WHERE a.outcome IS NOT NULL
ON CONFLICT DO NOTHING
"""
RAISE = """
INSERT INTO flag (call_id, round_id, application_id, kind, detail, event_id, occurred_at)
VALUES (:call_id, :round_id, CAST(:application_id AS uuid), :kind, :detail, CAST(:event_id AS uuid), :occurred_at)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Flag:
    """Something about an application (or, where that is None, its call) that an officer should look at."""

    call_id: str
    round_id: str | None
    application_id: str | None
    kind: str
    detail: str
    event_id: str
    occurred_at: datetime


async def raise_if_decided(tx: Transaction, flags: Sequence[Flag]) -> None:
    """Raise flags on those applications that have an outcome."""
    await tx.execute(
        RAISE_DECIDED,
        applications=[f.application_id for f in flags],
        kinds=[f.kind for f in flags],
        details=[f.detail for f in flags],
        events=[f.event_id for f in flags],
        times=[f.occurred_at for f in flags],
    )


async def raise_flag(tx: Transaction, flag: Flag) -> None:
    """Raise one flag."""
    values = {name: getattr(flag, name) for name in Flag.__slots__}
    await tx.execute(RAISE, **values)
