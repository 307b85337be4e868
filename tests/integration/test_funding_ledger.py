"""The ledger on a real PostgreSQL: append-only, gapless, never below zero, whoever forgets to ask."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncpg import PostgresError

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
    with pytest.raises(PostgresError, match="is short"):
        await post(db, "reserve", 30_000, count=4)
    assert await accounts(db) == (100_000, 0, 0, 100_000)


async def test_two_hundred_awards_at_once_never_exceed_the_envelope(databases: Databases) -> None:
    db = await databases("funding")
    await post(db, "set_envelope", 4_000_000)

    async def reserve() -> bool:
        while True:
            try:
                await post(db, "reserve", 22_500)
            except PostgresError as refused:
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
    with pytest.raises(PostgresError, match=reason):
        await post(db, kind, amount_eur, grant, credit=credit)


async def test_a_reservation_is_resolved_at_most_once(db: Database) -> None:
    grant, other = new_id(), new_id()
    await post(db, "reserve", 30_000, other)
    await post(db, "reserve", 30_000, grant)
    await post(db, "release", 30_000, grant)
    with pytest.raises(PostgresError, match="ledger_entry_of_grant"):
        await post(db, "release", 30_000, grant)
    with pytest.raises(PostgresError, match="released grant"):
        await post(db, "commit", 30_000, grant)
    assert await accounts(db) == (70_000, 30_000, 0, 100_000)


CHANGES = [
    "UPDATE ledger_entry SET amount_eur = 1",
    "DELETE FROM ledger_entry",
    "TRUNCATE ledger_entry",
    "INSERT INTO ledger_entry SELECT * FROM ledger_entry ON CONFLICT (call_id, number) DO UPDATE SET amount_eur = 1",
    "MERGE INTO ledger_entry USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
    "UPDATE balance SET available_eur = available_eur + 1, envelope_eur = envelope_eur + 1",
    "DELETE FROM balance",
    "TRUNCATE balance",
    "INSERT INTO balance (call_id) VALUES ('other')",
    "INSERT INTO balance (call_id) VALUES ('atelier-2030') ON CONFLICT (call_id) DO UPDATE SET last_entry = 0",
    "MERGE INTO balance USING (SELECT 1) AS one ON true WHEN MATCHED THEN UPDATE SET last_entry = 0",
    "WITH taken AS (DELETE FROM balance RETURNING *) SELECT * FROM taken",
    "DO $$ BEGIN UPDATE balance SET last_entry = 0; END $$",
]
WAYS_AROUND = [
    "SELECT * FROM balance FOR UPDATE",
    "SELECT * FROM ledger_entry FOR NO KEY UPDATE",
    "LOCK TABLE balance IN ROW EXCLUSIVE MODE",
    "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_moves_balance",
    "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_stays",
    "ALTER TABLE balance DISABLE TRIGGER ALL",
    "ALTER TABLE balance DROP CONSTRAINT balance_available_eur_check",
    "ALTER TABLE balance OWNER TO releve_funding",
    "DROP TRIGGER ledger_moves_balance ON ledger_entry",
    "DROP TRIGGER balance_moves_by_ledger ON balance",
    "DROP INDEX ledger_entry_of_grant",
    "DROP TABLE ledger_entry",
    "CREATE OR REPLACE FUNCTION ledger_moves_balance() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "ALTER FUNCTION ledger_moves_balance() SECURITY INVOKER",
    "DROP FUNCTION refuse_change() CASCADE",
    "CREATE RULE nothing AS ON INSERT TO ledger_entry DO INSTEAD NOTHING",
    "CREATE TRIGGER later AFTER INSERT ON ledger_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    "CREATE TEMP TABLE more () INHERITS (balance)",
    "CREATE TABLE more () INHERITS (ledger_entry)",
    "SET ROLE releve_funding_owner",
    "SET session_replication_role = replica",
]


@pytest.mark.parametrize("statement", [*CHANGES, *WAYS_AROUND])
async def test_the_runtime_role_may_only_append(db: Database, statement: str) -> None:
    with pytest.raises(PostgresError, match=r"permission denied|must be owner"):
        async with db.transaction() as tx:
            await tx.execute(statement)


async def test_the_runtime_role_cannot_give_itself_a_right(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("GRANT ALL ON balance, ledger_entry TO releve_funding")  # a warning, and nothing granted
        rights = await tx.fetch_all(
            "SELECT table_name, privilege_type FROM information_schema.table_privileges"
            " WHERE grantee = 'releve_funding' AND table_name IN ('balance', 'ledger_entry')"
        )
    assert {tuple(row.values()) for row in rights} == {
        ("balance", "SELECT"), ("ledger_entry", "SELECT"), ("ledger_entry", "INSERT"),
    }  # fmt: skip


async def test_the_runtime_role_cannot_borrow_the_ledgers_trigger(db: Database) -> None:
    with pytest.raises(PostgresError, match="permission denied"):
        async with db.transaction() as tx:
            await tx.execute("CREATE TEMP TABLE forged (LIKE ledger_entry)")
            await tx.execute(
                "CREATE TRIGGER t AFTER INSERT ON forged REFERENCING NEW TABLE AS entry"
                " FOR EACH STATEMENT EXECUTE FUNCTION ledger_moves_balance()"
            )


@pytest.mark.parametrize("statement", CHANGES)
async def test_where_one_role_owns_all_the_triggers_still_refuse(databases: Databases, statement: str) -> None:
    addresses = await databases.addresses("funding")
    owner = Database(addresses.owner, "funding")
    await post(owner, "set_envelope", 100_000)
    with pytest.raises(PostgresError, match="append-only"):
        async with owner.transaction() as tx:
            await tx.execute(statement)
    await owner.close()


@pytest.mark.parametrize(
    ("numbers", "reason"), [((3,), "does not follow"), ((2, 4), "leave a gap"), ((1,), "ledger_entry_pkey")]
)
async def test_a_forged_number_is_refused(db: Database, numbers: tuple[int, ...], reason: str) -> None:
    with pytest.raises(PostgresError, match=reason):
        async with db.transaction() as tx:
            await tx.execute(
                "INSERT INTO ledger_entry (call_id, number, kind, debit, credit, amount_eur, who, why, occurred_at)"
                " SELECT :call, n, 'set_envelope', 'available', 'source', 1, 'w', 'y', now()"
                " FROM unnest(CAST(:numbers AS bigint[])) AS n",
                call=CALL, numbers=list(numbers),
            )  # fmt: skip


async def test_an_entry_that_another_took_is_tried_again(db: Database) -> None:
    with pytest.raises(PostgresError) as refused:
        async with db.transaction() as tx:
            await tx.execute(
                "INSERT INTO ledger_entry (call_id, number, kind, debit, credit, amount_eur, who, why, occurred_at)"
                " VALUES (:call, 7, 'set_envelope', 'available', 'source', 1, 'w', 'y', now())", call=CALL,
            )  # fmt: skip
    assert judge(refused.value) is Verdict.AGAIN
