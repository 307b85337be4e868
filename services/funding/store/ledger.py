"""Owns the writing of ledger entries: append only, numbered 1, 2, 3 … per call; it never touches the balance itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.db import Transaction

Account = Literal["source", "available", "reserved", "committed"]
Kind = Literal["set_envelope", "reserve", "commit", "release"]

# Numbers follow the balance's last; its trigger refuses a number that another transaction took meanwhile.
APPEND = """
WITH written AS (
    INSERT INTO ledger_entry (call_id, number, kind, debit, credit, amount_eur, application_id, grant_id, who, why,
                              occurred_at)
    SELECT :call_id,
        COALESCE((SELECT last_entry FROM balance WHERE call_id = :call_id), 0) + position,
        :kind, :debit, e.credit, e.amount_eur, e.application_id, e.grant_id, :who, :why, :occurred_at
    FROM unnest(CAST(:credits AS text[]), CAST(:amounts AS bigint[]), CAST(:applications AS uuid[]),
                CAST(:grants AS uuid[])) WITH ORDINALITY AS e (credit, amount_eur, application_id, grant_id, position)
    RETURNING number)
SELECT min(number) FROM written
"""


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that leaves one account. Application and grant are None for the envelope itself."""

    credit: Account
    amount_eur: int
    application_id: str | None = None
    grant_id: str | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """Movements of one kind into one account, and who caused them, when (business time), why."""

    call_id: str
    kind: Kind
    debit: Account
    who: str
    why: str
    occurred_at: datetime


async def append(tx: Transaction, posting: Posting, movements: Sequence[Movement]) -> int:
    """Write movements in order, as one statement; the number of the first, the others follow without a gap.

    Raises the database's check_violation where an account would go below zero. The caller holds the call's lock.
    """
    first: int = await tx.fetch_value(
        APPEND,
        call_id=posting.call_id,
        kind=posting.kind,
        debit=posting.debit,
        who=posting.who,
        why=posting.why,
        occurred_at=posting.occurred_at,
        credits=[m.credit for m in movements],
        amounts=[m.amount_eur for m in movements],
        applications=[m.application_id for m in movements],
        grants=[m.grant_id for m in movements],
    )
    return first
