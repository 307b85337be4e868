"""Each mechanism that keeps the money switched off, in a database of the test's own: the check of it must fail.

What a second mechanism still holds is said too: the call's lock keeps people apart, the ledger keeps the euros.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from hypothesis import Phase
from sqlalchemy import make_url

from services.funding.handlers import proposing
from services.funding.store import calls
from shared.db import Database
from tests.builders_funding import CALL, Dossier, Funding, a_call, a_funding, closed, published
from tests.chaos import races
from tests.chaos.money import discrepancies
from tests.chaos.test_ledger_machine import run_ledger
from tests.databases import Databases

RACES = 40
UNLESS_SHORT = "AND available_eur + moved.lowest >= 0"


@pytest.fixture
async def funding(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    return await a_funding(databases, tmp_path, monkeypatch)


async def owner(db: Database) -> asyncpg.Connection:
    """A connection as the role that owns the schema, which may switch anything off."""
    url = make_url(db.dsn).set(username="releve_funding_owner")
    return await asyncpg.connect(url.render_as_string(hide_password=False))


async def as_owner(db: Database, *statements: str) -> None:
    connection = await owner(db)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def drop_the_checks_of_the_balance(db: Database) -> None:
    connection = await owner(db)
    names = await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'balance'::regclass AND contype = 'c'"
    )
    assert len(names) == 5
    for (name,) in names:
        await connection.execute(f"ALTER TABLE balance DROP CONSTRAINT {name}")
    await connection.close()


async def let_the_trigger_overdraw(db: Database) -> None:
    connection = await owner(db)
    source = await connection.fetchval("SELECT pg_get_functiondef('ledger_moves_balance'::regproc)")
    assert UNLESS_SHORT in source
    await connection.execute(source.replace(UNLESS_SHORT, ""))
    await connection.close()


async def finds_a_way_to_break(db: Database) -> bool:
    """Whether the ledger's machine finds a sequence that it should not have taken; it need not be the shortest."""
    try:
        await run_ledger(db, examples=200, steps=20, phases=[Phase.generate])
    except AssertionError:
        return True
    return False


# The lock of the call's row


@pytest.fixture
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    locking = " FOR NO KEY UPDATE"
    assert calls.LOCK.rstrip().endswith(locking)
    monkeypatch.setattr(calls, "LOCK", calls.LOCK.replace(locking, ""))


@pytest.mark.usefixtures("no_lock")
async def test_without_the_calls_lock_who_withdrew_is_left_with_money(funding: Funding) -> None:
    await races.withdrawal_against_decision(funding, RACES)
    found = {each.partition(": ")[2] for each in await discrepancies(funding)}
    assert found == {"who withdrew still holds a grant that is awarded"}


@pytest.mark.usefixtures("no_lock")
async def test_without_the_calls_lock_an_offer_is_accepted_and_lapses(funding: Funding) -> None:
    raced = await races.acceptance_against_lapse(funding, RACES)
    told_that_they_were_late = await funding.value("SELECT count(*) FROM flag WHERE kind = 'answer_not_counted'")
    assert told_that_they_were_late < raced.won["lapsed"]


# What refuses to overdraw: the comparison of the proposal, the trigger of the ledger, the CHECKs of the balance


async def test_an_outdated_proposal_that_is_confirmed_after_all_is_stopped_by_the_ledger(
    funding: Funding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposing, "is_stale", lambda *_: False)
    raced = await races.release_against_decision(funding, RACES)
    assert set(raced.won) == {"decided", "CheckViolationError"}
    assert await discrepancies(funding) == []


async def test_with_nothing_left_that_refuses_a_euro_is_spent_twice(
    funding: Funding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposing, "is_stale", lambda *_: False)
    await drop_the_checks_of_the_balance(funding.db)
    await let_the_trigger_overdraw(funding.db)
    raced = await races.release_against_decision(funding, RACES)
    assert set(raced.won) == {"decided"}
    assert any("the accounts are (-10000, 70000, 0)" in each for each in await discrepancies(funding))


async def test_the_trigger_and_the_checks_each_refuse_alone_what_both_together_must(databases: Databases) -> None:
    for switched_off in (drop_the_checks_of_the_balance, let_the_trigger_overdraw):
        db = await databases("funding")
        await switched_off(db)
        await run_ledger(db, examples=5, steps=15)
    await drop_the_checks_of_the_balance(db)
    assert await finds_a_way_to_break(db)


# The ledger itself


async def test_without_the_trigger_the_balance_stands_still(funding: Funding) -> None:
    application = Dossier(1)
    await funding.receive(published(a_call()), application.submitted())
    await funding.receive(closed([application]), application.scored("90"))
    await as_owner(funding.db, "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_moves_balance")
    await funding.decide()
    assert f"{CALL}: the balance (100000, 0, 0) is not the ledger's (70000, 30000, 0)" in await discrepancies(funding)


async def test_without_its_unique_index_a_grant_is_released_twice(databases: Databases) -> None:
    db = await databases("funding")
    await as_owner(db, "DROP INDEX ledger_entry_of_grant")
    assert await finds_a_way_to_break(db)


@pytest.mark.parametrize(
    ("switched_off", "change", "found"),
    [
        (
            ["DROP TRIGGER ledger_entry_stays ON ledger_entry", "GRANT UPDATE ON ledger_entry TO releve_funding"],
            "UPDATE ledger_entry SET amount_eur = amount_eur - 1 WHERE kind = 'reserve'",
            "events and ledger part at entry 2",
        ),
        (
            ["DROP TRIGGER ledger_entry_stays ON ledger_entry", "GRANT DELETE ON ledger_entry TO releve_funding"],
            "DELETE FROM ledger_entry WHERE kind = 'reserve'",
            "is not the ledger's",
        ),
        (
            ["DROP TRIGGER balance_moves_by_ledger ON balance", "GRANT UPDATE ON balance TO releve_funding"],
            "UPDATE balance SET available_eur = available_eur + 1, envelope_eur = envelope_eur + 1",
            "is not the ledger's",
        ),
    ],
    ids=["changed entry", "deleted entry", "changed balance"],
)
async def test_without_append_only_a_changed_euro_is_noticed(
    funding: Funding, switched_off: list[str], change: str, found: str
) -> None:
    await funding.decided(a_call(), [Dossier(1)], ["90"])
    assert await discrepancies(funding) == []
    await as_owner(funding.db, *switched_off)
    async with funding.db.transaction() as tx:
        assert await tx.execute(change) == 1
    assert any(found in each for each in await discrepancies(funding))
