"""Requests that share a commit: each is answered after it, none can fail another, and not more wait than may."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from shared.db import Database, Transaction
from shared.group_commit import GroupCommit, TooManyWait
from tests.waiting import until

STORE = """
INSERT INTO sequence_counter (topic, key, value)
SELECT 'test', k, CAST(:value AS bigint) FROM unnest(CAST(:keys AS text[])) AS k
"""


class Writer:
    """Stores keys in groups. A key of `broken` breaks a rule of the table; `gate` holds every group back."""

    def __init__(self, db: Database, *, largest: int = 64, most_waiting: int = 100) -> None:
        self.db = db
        self.groups: list[int] = []
        self.held = 0
        self.broken: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.group = GroupCommit(db, "test", self.work, largest=largest, most_waiting=most_waiting)

    async def work(self, tx: Transaction, keys: Sequence[str]) -> list[str]:
        self.held = len(keys)
        await self.gate.wait()
        self.groups.append(len(keys))
        for value, wanted in ((1, set(keys) - self.broken), (0, set(keys) & self.broken)):
            await tx.execute(STORE, value=value, keys=sorted(wanted))
        return [key.upper() for key in keys]

    async def stored(self) -> set[str]:
        async with self.db.transaction() as tx:
            return {row["key"] for row in await tx.fetch_all("SELECT key FROM sequence_counter")}

    async def all_of(self, count: int) -> list[str | BaseException]:
        return await asyncio.gather(*(self.group.written(f"k{n}") for n in range(count)), return_exceptions=True)


async def test_what_comes_together_is_one_commit_and_each_gets_its_own_answer(messaging_database: Database) -> None:
    writer = Writer(messaging_database)
    assert await writer.all_of(20) == [f"K{n}" for n in range(20)]
    assert writer.groups == [20]
    assert await writer.stored() == {f"k{n}" for n in range(20)}


async def test_an_answer_comes_after_its_commit(messaging_database: Database) -> None:
    writer = Writer(messaging_database)

    async def one(key: str) -> bool:
        await writer.group.written(key)
        return key in await writer.stored()

    assert all(await asyncio.gather(*(one(f"k{n}") for n in range(10))))


async def test_a_group_is_no_larger_than_it_may_be(messaging_database: Database) -> None:
    writer = Writer(messaging_database, largest=8)
    await writer.all_of(20)
    assert max(writer.groups) == 8
    assert sum(writer.groups) == 20


async def test_one_that_fails_fails_no_other(messaging_database: Database) -> None:
    writer = Writer(messaging_database)
    writer.broken = {"k3"}
    answers = await writer.all_of(6)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, BaseException)] == [3]
    assert await writer.stored() == {"k0", "k1", "k2", "k4", "k5"}
    assert writer.groups == [6, 1, 1, 1, 1, 1, 1]


async def test_a_group_with_an_answer_too_few_is_not_stored_and_everybody_is_told(messaging_database: Database) -> None:
    writer = Writer(messaging_database)

    async def forgets_one(tx: Transaction, keys: Sequence[str]) -> list[str]:
        return (await writer.work(tx, keys))[1:]

    group = GroupCommit(messaging_database, "forgetful", forgets_one, largest=8, most_waiting=100)
    answers = await asyncio.gather(*(group.written(f"k{n}") for n in range(3)), return_exceptions=True)
    assert all(isinstance(answer, ValueError) for answer in answers)
    assert await writer.stored() == set()


async def test_who_comes_when_too_many_wait_is_told_at_once(messaging_database: Database) -> None:
    writer = Writer(messaging_database, largest=1, most_waiting=3)
    writer.gate.clear()
    first = [asyncio.create_task(writer.group.written("k0"))]
    await until(lambda: writer.held == 1)
    first += [asyncio.create_task(writer.group.written(f"k{n}")) for n in range(1, 4)]
    await asyncio.sleep(0)  # each of them has begun to wait
    with pytest.raises(TooManyWait):
        await writer.group.written("late")
    writer.gate.set()
    assert await asyncio.gather(*first) == ["K0", "K1", "K2", "K3"]
    assert "late" not in await writer.stored()


async def test_one_that_is_given_up_while_it_waits_holds_up_nobody(messaging_database: Database) -> None:
    writer = Writer(messaging_database)
    writer.gate.clear()
    tasks = [asyncio.create_task(writer.group.written(f"k{n}")) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    writer.gate.set()
    assert await asyncio.gather(tasks[0], tasks[2]) == ["K0", "K2"]
    assert await writer.group.written("next") == "NEXT"


async def test_what_was_given_up_before_its_group_began_is_not_stored(messaging_database: Database) -> None:
    writer = Writer(messaging_database, largest=1)
    writer.gate.clear()
    tasks = [asyncio.create_task(writer.group.written(f"k{n}")) for n in range(3)]
    await until(lambda: writer.held == 1)
    tasks[1].cancel()
    await asyncio.sleep(0)  # it has been given up
    writer.gate.set()
    assert await asyncio.gather(tasks[0], tasks[2]) == ["K0", "K2"]
    assert await writer.stored() == {"k0", "k2"}


async def test_groups_of_one_name_tell_together_how_many_wait(messaging_database: Database) -> None:
    def waiting() -> float:
        return REGISTRY.get_sample_value("releve_group_waiting", {"what": "test"}) or 0.0

    before = waiting()
    writers = [Writer(messaging_database, largest=1) for _ in range(2)]
    for writer in writers:
        writer.gate.clear()
    tasks = [
        asyncio.create_task(writer.group.written(f"k{number}-{n}"))
        for number, writer in enumerate(writers)
        for n in range(3)
    ]
    await until(lambda: all(writer.held for writer in writers))
    assert waiting() - before == len(tasks) - len(writers)
    for writer in writers:
        writer.gate.set()
    await asyncio.gather(*tasks)
    assert waiting() == before


async def test_a_database_that_is_away_is_told_to_the_whole_group_at_once(messaging_database: Database) -> None:
    away = Away("postgresql://nobody:x@127.0.0.1:1/nothing", "test", connect_timeout_s=5)
    writer = Writer(away)
    answers = await writer.all_of(5)
    assert all(isinstance(answer, OSError) for answer in answers)
    assert away.asked == 1
    await away.close()


class Away(Database):
    """Counts how often it was asked for a transaction."""

    asked = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self.asked += 1
        async with super().transaction() as tx:
            yield tx
