"""The ledger on a real PostgreSQL: append-only, gapless, never below zero, whoever forgets to ask."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.exc import DBAPIError

from services.funding.store import ledger
from services.funding.store.ledger import Movement, Posting
from shared.db import Database
from shared.ids import new_id
from shared.messaging.failures import Verdict, judge
from tests.databases import Databases

CALL = "atelier-2030"
AT = datetime(2030, 1, 7, 8, tzinfo=UTC)
KINDS: dict[str, tuple[Any, Any]] = {
    "set_envelope": ("available", "source"), "reserve": ("reserved", "available"), "commit": ("committed", "reserved"),
    "release": ("available", "reserved"),
}  # fmt: skip


@pytest.fixture
async def db(databases: Databases) -> Database:
    database = await databases("funding")
    await post(database, "set_envelope", 100_000)
    return database


async def post(
    db: Database, kind: Any, amount_eur: int, grant_id: str | None = None, credit: Any = None, count: int = 1,
    call_id: str = CALL,
) -> int:  # fmt: skip
    """Write entries of one kind; a grant's application has the grant's own id."""
    debit, usual = KINDS[kind]
    grants = [grant_id] * count if kind == "set_envelope" else [grant_id or new_id() for _ in range(count)]
    movements = [Movement(credit or usual, amount_eur, grant, grant) for grant in grants]
    async with db.transaction() as tx:
        return await ledger.append(tx, Posting(call_id, kind, debit, "officer", "test", AT), movements)


async def accounts(db: Database) -> tuple[int, ...]:
    async with db.transaction() as tx:
        row = await tx.fetch_one("SELECT available_eur, reserved_eur, committed_eur, envelope_eur FROM balance")
    assert row is not None
    return tuple(int(amount) for amount in row.values())


async def test_entries_are_numbered_without_a_gap_and_move_the_balance(db: Database) -> None:
    grant = new_id()
    assert await post(db, "reserve", 30_000, grant) == 2
    assert await post(db, "reserve", 10_000, count=3) == 3
    assert await post(db, "commit", 30_000, grant) == 6
    assert await accounts(db) == (40_000, 30_000, 30_000, 100_000)
    assert await post(db, "release", 30_000, grant, credit="committed") == 7
    assert await accounts(db) == (70_000, 30_000, 0, 100_000)


async def test_one_statement_cannot_reserve_more_than_there_is(db: Database) -> None:
    with pytest.raises(DBAPIError, match="is short"):
        await post(db, "reserve", 30_000, count=4)
    assert await accounts(db) == (100_000, 0, 0, 100_000)


async def test_two_hundred_awards_at_once_never_exceed_the_envelope(databases: Databases) -> None:
    db = await databases("funding")
    await post(db, "set_envelope", 4_000_000)

    async def reserve() -> bool:
        while True:
            try:
                await post(db, "reserve", 22_500)
            except DBAPIError as refused:
                # Nobody holds the call's lock here: who took the number that another has tries again.
                if "is short" in str(refused):
                    return False
                if judge(refused) is not Verdict.AGAIN and "ledger_entry_pkey" not in str(refused):
                    raise
            else:
                return True

    awarded = sum(await asyncio.gather(*(reserve() for _ in range(200))))
    assert awarded == 4_000_000 // 22_500
    assert await accounts(db) == (4_000_000 - awarded * 22_500, awarded * 22_500, 0, 4_000_000)
    async with db.transaction() as tx:
        assert await tx.fetch_value("SELECT count(*) = max(number) FROM ledger_entry")


@pytest.mark.parametrize(
    ("kind", "amount_eur", "credit", "reason"),
    [
        ("release", 20_000, "reserved", "does not hold"),
        ("commit", 20_000, "reserved", "does not hold"),
        ("release", 30_000, "committed", "below zero|does not hold|balance_committed_eur_check"),
        ("reserve", 30_000, "available", "ledger_entry_of_grant"),
        ("reserve", 30_000, "committed", "check constraint"),
    ],
)
async def test_an_entry_that_no_reservation_backs_is_refused(
    db: Database, kind: str, amount_eur: int, credit: str, reason: str
) -> None:
    grant = new_id()
    await post(db, "reserve", 30_000, grant)
    with pytest.raises(DBAPIError, match=reason):
        await post(db, kind, amount_eur, grant, credit=credit)


async def test_a_reservation_is_resolved_at_most_once(db: Database) -> None:
    grant, other = new_id(), new_id()
    await post(db, "reserve", 30_000, other)
    await post(db, "reserve", 30_000, grant)
    await post(db, "release", 30_000, grant)
    with pytest.raises(DBAPIError, match="ledger_entry_of_grant"):
        await post(db, "release", 30_000, grant)
    with pytest.raises(DBAPIError, match="released grant"):
        await post(db, "commit", 30_000, grant)
    assert await accounts(db) == (70_000, 30_000, 0, 100_000)


WRITES = [
    "UPDATE ledger_entry SET amount_eur = 1",
    "DELETE FROM ledger_entry",
    "TRUNCATE ledger_entry",
    "UPDATE balance SET available_eur = available_eur + 1, envelope_eur = envelope_eur + 1",
    "DELETE FROM balance",
    "INSERT INTO balance (call_id) VALUES ('other')",
    "TRUNCATE balance",
    "SELECT * FROM balance FOR UPDATE",
    "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_moves_balance",
    "DROP TRIGGER ledger_moves_balance ON ledger_entry",
    "SET session_replication_role = replica",
]


@pytest.mark.parametrize("statement", WRITES)
async def test_the_runtime_role_may_only_append(db: Database, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        async with db.transaction() as tx:
            await tx.execute(statement)


async def test_the_runtime_role_cannot_borrow_the_ledgers_trigger(db: Database) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with db.transaction() as tx:
            await tx.execute("CREATE TEMP TABLE forged (LIKE ledger_entry)")
            await tx.execute(
                "CREATE TRIGGER t AFTER INSERT ON forged REFERENCING NEW TABLE AS entry"
                " FOR EACH STATEMENT EXECUTE FUNCTION ledger_moves_balance()"
            )


@pytest.mark.parametrize("statement", WRITES[:7])
async def test_where_one_role_owns_all_the_triggers_still_refuse(databases: Databases, statement: str) -> None:
    addresses = await databases.addresses("funding")
    owner = Database(addresses.owner, "funding")
    await post(owner, "set_envelope", 100_000)
    with pytest.raises(DBAPIError, match="append-only"):
        async with owner.transaction() as tx:
            await tx.execute(statement)
    await owner.close()


@pytest.mark.parametrize(
    ("numbers", "reason"), [((3,), "does not follow"), ((2, 4), "leave a gap"), ((1,), "ledger_entry_pkey")]
)
async def test_a_forged_number_is_refused(db: Database, numbers: tuple[int, ...], reason: str) -> None:
    with pytest.raises(DBAPIError, match=reason):
        async with db.transaction() as tx:
            await tx.execute(
                "INSERT INTO ledger_entry (call_id, number, kind, debit, credit, amount_eur, who, why, occurred_at)"
                " SELECT :call, n, 'set_envelope', 'available', 'source', 1, 'w', 'y', now()"
                " FROM unnest(CAST(:numbers AS bigint[])) AS n",
                call=CALL, numbers=list(numbers),
            )  # fmt: skip


async def test_an_entry_that_another_took_is_tried_again(db: Database) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with db.transaction() as tx:
            await tx.execute(
                "INSERT INTO ledger_entry (call_id, number, kind, debit, credit, amount_eur, who, why, occurred_at)"
                " VALUES (:call, 7, 'set_envelope', 'available', 'source', 1, 'w', 'y', now())", call=CALL,
            )  # fmt: skip
    assert judge(refused.value) is Verdict.AGAIN


class Ledger(RuleBasedStateMachine):
    """Any sequence of reservations, commitments and releases, told to a model and to the database."""

    held = Bundle("held")
    signed = Bundle("signed")
    loop: asyncio.AbstractEventLoop
    url: str

    def __init__(self) -> None:
        super().__init__()
        self.model = [100_000, 0, 0]
        self.db = Database(self.url, "funding")
        self.call_id = f"call-{new_id()}"

    def post(self, kind: str, amount_eur: int, grant: str | None = None, credit: str | None = None) -> None:
        self.run(post(self.db, kind, amount_eur, grant, credit, call_id=self.call_id))

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    @initialize()
    def begin(self) -> None:
        self.post("set_envelope", 100_000)

    @rule(target=held, amount_eur=st.integers(1, 60_000))
    def reserve(self, amount_eur: int) -> tuple[str, int]:
        grant = new_id()
        fits = amount_eur <= self.model[0]
        try:
            self.post("reserve", amount_eur, grant)
        except DBAPIError:
            assert not fits
            return "", 0
        assert fits
        self.model = [self.model[0] - amount_eur, self.model[1] + amount_eur, self.model[2]]
        return grant, amount_eur

    @rule(target=signed, grant=consumes(held))
    def commit(self, grant: tuple[str, int]) -> tuple[str, int]:
        name, amount = grant
        if name:
            self.post("commit", amount, name)
            self.model = [self.model[0], self.model[1] - amount, self.model[2] + amount]
        return grant

    @rule(grant=consumes(held))
    def release(self, grant: tuple[str, int]) -> None:
        self._release(grant, "reserved", 1)

    @rule(grant=consumes(signed))
    def release_signed(self, grant: tuple[str, int]) -> None:
        self._release(grant, "committed", 2)

    def _release(self, grant: tuple[str, int], credit: str, account: int) -> None:
        name, amount = grant
        if not name:
            return
        self.post("release", amount, name, credit)
        self.model[0] += amount
        self.model[account] -= amount
        with pytest.raises(DBAPIError):
            self.post("release", amount, name, credit)

    @invariant()
    def accounts_are_the_envelope(self) -> None:
        async def read() -> Any:
            async with self.db.transaction() as tx:
                return await tx.fetch_one("SELECT * FROM balance WHERE call_id = :id", id=self.call_id)

        row = self.run(read())
        if row is not None:
            assert [row["available_eur"], row["reserved_eur"], row["committed_eur"]] == self.model
            assert sum(self.model) == row["envelope_eur"] == 100_000

    def teardown(self) -> None:
        self.run(self.db.close())


async def test_any_sequence_of_movements_keeps_the_accounts(databases: Databases) -> None:
    addresses = await databases.addresses("funding")
    machine = type("LedgerOfThisTest", (Ledger,), {"loop": asyncio.get_running_loop(), "url": addresses.runtime})
    quick = settings(
        max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
    )
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=quick)

