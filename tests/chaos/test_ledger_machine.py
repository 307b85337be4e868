"""Any sequence of movements, possible or not, told to the ledger, and to a model of three numbers beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from asyncpg import PostgresError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from services.funding.store import ledger
from services.funding.store.ledger import Account, Kind, Movement, Posting
from shared.db import Database
from shared.ids import new_id
from tests.chaos.money import after_each_entry
from tests.databases import Databases

ENVELOPE_EUR = 100_000
AT = datetime(2030, 1, 7, 8, tzinfo=UTC)
ENTRIES = """
SELECT kind, debit, credit, amount_eur, CAST(grant_id AS text) AS grant_id FROM ledger_entry WHERE call_id = :id
ORDER BY number
"""
Grant = tuple[str, int]


class Ledger(RuleBasedStateMachine):
    """A grant is held, then signed, then over; each rule also says whether the ledger had to take it."""

    held, signed, over = Bundle("held"), Bundle("signed"), Bundle("over")
    loop: asyncio.AbstractEventLoop
    db: Database

    def __init__(self) -> None:
        super().__init__()
        self.call_id = f"call-{new_id()}"
        self.available = self.reserved = self.committed = 0
        self.entries = 0

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)

    def post(self, kind: Kind, debit: Account, credit: Account, *moved: tuple[str | None, int]) -> bool:
        """Whether the ledger takes the movements, all as one statement; a grant's application has the grant's id."""

        async def append() -> None:
            async with self.db.transaction() as tx:
                posting = Posting(self.call_id, kind, debit, "officer", "test", AT)
                await ledger.append(tx, posting, [Movement(credit, amount, grant, grant) for grant, amount in moved])

        try:
            self.run(append())
        except PostgresError:
            return False
        self.entries += len(moved)
        return True

    @initialize()
    def publish(self) -> None:
        assert self.post("set_envelope", "available", "source", (None, ENVELOPE_EUR))
        self.available = ENVELOPE_EUR

    @rule(amount_eur=st.integers(1, 60_000))
    def raise_the_envelope(self, amount_eur: int) -> None:
        assert self.post("set_envelope", "available", "source", (None, amount_eur))
        self.available += amount_eur

    @rule(amount_eur=st.integers(1, 60_000))
    def reduce_the_envelope(self, amount_eur: int) -> None:
        taken = self.post("set_envelope", "source", "available", (None, amount_eur))
        assert taken == (amount_eur <= self.available)
        self.available -= amount_eur * taken

    @rule(target=held, amounts=st.lists(st.integers(1, 60_000), min_size=1, max_size=4))
    def reserve(self, amounts: Sequence[int]) -> Any:
        grants = [(new_id(), amount) for amount in amounts]
        taken = self.post("reserve", "reserved", "available", *grants)
        assert taken == (sum(amounts) <= self.available)
        self.available -= sum(amounts) * taken
        self.reserved += sum(amounts) * taken
        return multiple(*(grants if taken else ()))

    @rule(target=signed, grant=consumes(held))
    def commit(self, grant: Grant) -> Grant:
        assert self.post("commit", "committed", "reserved", grant)
        self.reserved -= grant[1]
        self.committed += grant[1]
        return grant

    @rule(target=over, grant=consumes(held))
    def release(self, grant: Grant) -> Grant:
        assert self.post("release", "available", "reserved", grant)
        self.reserved -= grant[1]
        self.available += grant[1]
        return grant

    @rule(target=over, grant=consumes(signed))
    def release_what_was_signed(self, grant: Grant) -> Grant:
        assert self.post("release", "available", "committed", grant)
        self.committed -= grant[1]
        self.available += grant[1]
        return grant

    @rule(grant=held, other=st.integers(1, 60_000))
    def move_another_amount(self, grant: Grant, other: int) -> None:
        if other != grant[1]:
            assert not self.post("commit", "committed", "reserved", (grant[0], other))
            assert not self.post("release", "available", "reserved", (grant[0], other))

    @rule(grant=held)
    def release_what_was_not_signed_as_signed(self, grant: Grant) -> None:
        assert not self.post("release", "available", "committed", grant)

    @rule(grant=signed)
    def release_what_was_signed_as_reserved(self, grant: Grant) -> None:
        assert not self.post("release", "available", "reserved", grant)
        assert not self.post("commit", "committed", "reserved", grant)

    @rule(grant=over, credit=st.sampled_from(["reserved", "committed"]))
    def resolve_again(self, grant: Grant, credit: Account) -> None:
        assert not self.post("release", "available", credit, grant)
        assert not self.post("commit", "committed", "reserved", grant)
        assert not self.post("reserve", "reserved", "available", grant)

    @rule(amount_eur=st.integers(1, 60_000))
    def release_what_was_never_reserved(self, amount_eur: int) -> None:
        assert not self.post("release", "available", "reserved", (new_id(), amount_eur))

    @invariant()
    def accounts_are_the_envelope_and_each_grant_is_resolved_once(self) -> None:
        async def read() -> tuple[Any, list[Any]]:
            async with self.db.transaction() as tx:
                balance = await tx.fetch_one("SELECT * FROM balance WHERE call_id = :id", id=self.call_id)
                return balance, list(await tx.fetch_all(ENTRIES, id=self.call_id))

        balance, entries = self.run(read())
        if balance is None:
            return
        model = (self.available, self.reserved, self.committed)
        assert (balance["available_eur"], balance["reserved_eur"], balance["committed_eur"]) == model
        assert sum(model) == balance["envelope_eur"]
        assert min(model) >= 0
        assert balance["last_entry"] == len(entries) == self.entries
        assert after_each_entry(entries)[-1] == model
        resolved = [entry["grant_id"] for entry in entries if entry["kind"] == "release"]
        assert len(resolved) == len(set(resolved))


async def run_ledger(db: Database, examples: int, steps: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    """Run the machine. Raises the AssertionError of a sequence that breaks it, by default the shortest."""
    machine = type("LedgerOfThisTest", (Ledger,), {"loop": asyncio.get_running_loop(), "db": db})
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, phases=phases, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=chosen)


async def test_any_sequence_of_movements_keeps_the_accounts(databases: Databases) -> None:
    await run_ledger(await databases("funding"), examples=15, steps=25)
