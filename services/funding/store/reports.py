"""Owns what officers read: budget, ledger, ranking, grants, flags, a page at a time; it writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.db import Row, Transaction

PAGE = 50

BUDGET = """
SELECT c.call_id, b.envelope_eur, b.available_eur, b.reserved_eur, b.committed_eur, b.last_entry, c.frozen,
    c.unmet_reduction_eur
FROM call c JOIN balance b USING (call_id) WHERE c.call_id = :call_id
"""
LEDGER = """
SELECT number, kind, debit, credit, amount_eur, CAST(application_id AS text) AS application_id,
    CAST(grant_id AS text) AS grant_id, who, why, occurred_at, recorded_at
FROM ledger_entry WHERE call_id = :call_id AND number > :after ORDER BY number LIMIT :limit
"""
RANKING = """
SELECT l.rank, CAST(l.application_id AS text) AS application_id, a.reference, a.title, a.organisation, l.score,
    CAST(a.means AS text) AS means, a.requested_eur, a.recommended_eur, l.claim_eur, l.awarded_eur, l.outcome, l.reason,
    l.running_eur, l.told_apart_by, a.withdrawn_at IS NOT NULL AS withdrawn, a.outcome AS current_outcome,
    w.state AS grant_state, CAST(w.grant_id AS text) AS grant_id,
    ARRAY(SELECT f.kind || ': ' || f.detail FROM flag f
          WHERE f.round_id = :round_id AND f.application_id = l.application_id ORDER BY f.flag_id) AS flags
FROM proposal_line l JOIN application a USING (application_id) LEFT JOIN award w USING (application_id)
WHERE l.proposal_id = CAST(:proposal_id AS uuid) AND l.rank > :after ORDER BY l.rank LIMIT :limit
"""
ROLLING = """
SELECT a.rank, CAST(a.application_id AS text) AS application_id, a.reference, a.title, a.organisation, a.score,
    CAST(a.means AS text) AS means, a.requested_eur, a.recommended_eur, a.claim_eur,
    COALESCE(w.amount_eur, 0) AS awarded_eur, a.outcome, a.reason, NULL AS running_eur, NULL AS told_apart_by,
    a.withdrawn_at IS NOT NULL AS withdrawn, a.outcome AS current_outcome, w.state AS grant_state,
    CAST(w.grant_id AS text) AS grant_id,
    ARRAY(SELECT f.kind || ': ' || f.detail FROM flag f
          WHERE f.round_id = :round_id AND f.application_id = a.application_id ORDER BY f.flag_id) AS flags
FROM application a LEFT JOIN award w USING (application_id)
WHERE a.round_id = :round_id AND a.outcome IS NOT NULL AND a.rank > :after ORDER BY a.rank LIMIT :limit
"""
OPEN = """
SELECT CAST(application_id AS text) AS application_id, reference FROM application WHERE round_id = :round_id AND open
ORDER BY application_id LIMIT :limit
"""
LINE_AT_ENVELOPE = """
SELECT max(rank) FROM proposal_line WHERE proposal_id = CAST(:proposal_id AS uuid) AND outcome = 'awarded'
"""
NAMES = """
SELECT CAST(application_id AS text) AS application_id, reference, title, organisation FROM application
WHERE application_id = ANY(CAST(:ids AS uuid[]))
"""
CALL_FLAGS = """
SELECT kind, detail, occurred_at FROM flag WHERE call_id = :call_id AND application_id IS NULL
ORDER BY flag_id DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class RankedRow:
    """One line of a ranking with what people know the application by, and what became of it since."""

    rank: int
    application_id: str
    reference: str
    title: str
    organisation: str
    score: Decimal | None
    means: str | None
    requested_eur: int
    recommended_eur: int | None
    claim_eur: int
    awarded_eur: int
    outcome: str
    reason: str | None
    running_eur: int | None
    told_apart_by: str | None
    withdrawn: bool
    current_outcome: str | None
    grant_state: str | None
    grant_id: str | None
    flags: list[str]


async def budget(tx: Transaction, call_id: str) -> Row | None:
    """The accounts of a call, or None where it was not published."""
    return await tx.fetch_one(BUDGET, call_id=call_id)


async def ledger(tx: Transaction, call_id: str, after: int) -> Sequence[Row]:
    """A page of a call's ledger, after an entry's number."""
    return await tx.fetch_all(LEDGER, call_id=call_id, after=after, limit=PAGE)


async def ranking(tx: Transaction, round_id: str, proposal_id: str, after: int) -> list[RankedRow]:
    """A page of a proposal's lines, after a rank."""
    rows = await tx.fetch_all(RANKING, round_id=round_id, proposal_id=proposal_id, after=after, limit=PAGE)
    return [RankedRow(**row) for row in rows]


async def rolling(tx: Transaction, round_id: str, after: int) -> list[RankedRow]:
    """A page of what a rolling round decided, in the order in which it did."""
    return [RankedRow(**row) for row in await tx.fetch_all(ROLLING, round_id=round_id, after=after, limit=PAGE)]


async def line_at_envelope(tx: Transaction, proposal_id: str) -> int | None:
    """The rank of the last line that is awarded money: where the officers' line is drawn."""
    rank: int | None = await tx.fetch_value(LINE_AT_ENVELOPE, proposal_id=proposal_id)
    return rank


async def still_open(tx: Transaction, round_id: str) -> list[dict[str, Any]]:
    """The first page of members that neither have a score nor have ended."""
    return [dict(row) for row in await tx.fetch_all(OPEN, round_id=round_id, limit=PAGE)]


async def names(tx: Transaction, application_ids: Sequence[str]) -> dict[str, Row]:
    """What people know applications by."""
    rows = await tx.fetch_all(NAMES, ids=list(application_ids))
    return {row["application_id"]: row for row in rows}


async def call_flags(tx: Transaction, call_id: str) -> list[dict[str, Any]]:
    """The newest flags that concern a call as a whole."""
    return [dict(row) for row in await tx.fetch_all(CALL_FLAGS, call_id=call_id, limit=PAGE)]
