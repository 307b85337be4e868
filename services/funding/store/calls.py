"""Owns the stored calls, and the lock that every change of a call's money, rounds or applications is made under.

The runtime role may not lock the balance row (it may not update it), so the call's row stands for the envelope: whoever
changes anything of a call holds it first, in the order of call ids. The ledger's trigger refuses what forgot to.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from services.funding.domain.envelope import Envelope
from shared.db import Transaction
from shared.events.call import Call

LOCK = """
SELECT call_id, version, allocation, inadmissible_told, frozen FROM call
WHERE call_id = ANY(CAST(:ids AS text[])) ORDER BY call_id FOR NO KEY UPDATE
"""
READ = "SELECT call_id, version, allocation, inadmissible_told, frozen FROM call WHERE call_id = :id"
MENTION = """
INSERT INTO call (call_id) SELECT id FROM unnest(CAST(:ids AS text[])) AS id ORDER BY id ON CONFLICT DO NOTHING
"""
KEEP = """
UPDATE call SET version = :version, document = CAST(:document AS jsonb), allocation = :allocation,
    inadmissible_told = :inadmissible_told
WHERE call_id = :call_id AND (version IS NULL OR version < :version)
"""
BALANCE = """
SELECT b.last_entry, b.envelope_eur, b.available_eur, b.reserved_eur, b.committed_eur, c.frozen
FROM balance b JOIN call c USING (call_id) WHERE call_id = :call_id
"""


@dataclass(frozen=True, slots=True)
class CallRow:
    """What handlers of many events need of a call; `version` is None until its file was received."""

    call_id: str
    version: int | None
    allocation: Literal["ranked", "rolling"] | None
    inadmissible_told: Literal["announcement", "at_once"] | None
    frozen: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """A call's money after its ledger entry `last_entry`."""

    last_entry: int
    envelope: Envelope


async def lock_calls(tx: Transaction, call_ids: Iterable[str]) -> dict[str, CallRow]:
    """Lock the calls, making a row for one that was only heard of; their rows by id."""
    wanted = sorted(set(call_ids))
    rows = await tx.fetch_all(LOCK, ids=wanted)
    if len(rows) < len(wanted):
        await tx.execute(MENTION, ids=wanted)
        rows = await tx.fetch_all(LOCK, ids=wanted)
    return {row["call_id"]: CallRow(**row) for row in rows}


async def read_call(tx: Transaction, call_id: str) -> CallRow:
    """A call as it is now, without its lock: for looking only. Raises CallMissing."""
    row = await tx.fetch_one(READ, id=call_id)
    if row is None:
        raise CallMissing(call_id)
    return CallRow(**row)


async def keep(tx: Transaction, call: Call) -> bool:
    """Keep a call file; False if this version or a later one is held."""
    changed = await tx.execute(
        KEEP, call_id=call.id, version=call.version, document=call.model_dump_json(),
        allocation=call.allocation, inadmissible_told=call.inadmissible_told,
    )  # fmt: skip
    return changed == 1


async def load_call(tx: Transaction, call_id: str) -> Call | None:
    """The newest call file, or None if it was not received."""
    document = await tx.fetch_value("SELECT CAST(document AS text) FROM call WHERE call_id = :id", id=call_id)
    return Call.model_validate_json(document) if document else None


async def known_call(tx: Transaction, call_id: str) -> Call:
    """The newest file of a call that something was decided of. Raises CallMissing."""
    call = await load_call(tx, call_id)
    if call is None:
        raise CallMissing(call_id)
    return call


async def load_balance(tx: Transaction, call_id: str) -> Balance | None:
    """The call's money, or None before its first ledger entry."""
    row = await tx.fetch_one(BALANCE, call_id=call_id)
    if row is None:
        return None
    return Balance(
        row["last_entry"], Envelope(row["available_eur"], row["reserved_eur"], row["committed_eur"], row["frozen"])
    )


async def known_balance(tx: Transaction, call_id: str) -> Balance:
    """The money of a call that was published. Raises CallMissing."""
    balance = await load_balance(tx, call_id)
    if balance is None:
        raise CallMissing(call_id)
    return balance


async def note_unmet_reduction(tx: Transaction, call_id: str, unmet_eur: int) -> None:
    """Show how much of a wished reduction of the envelope could not be taken."""
    await tx.execute("UPDATE call SET unmet_reduction_eur = :unmet WHERE call_id = :id", id=call_id, unmet=unmet_eur)


class CallMissing(Exception):
    """Something was decided of a call whose file is not held: cannot be; data: its id."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"the call {call_id} is not known")
        self.call_id = call_id
