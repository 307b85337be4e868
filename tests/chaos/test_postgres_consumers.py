"""PostgreSQL failing under consumers and relays: they wait, begin again by themselves, each effect is there once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import get_args

import pytest

from shared.db import Database, Transaction
from shared.events import Event
from shared.ids import new_id
from shared.messaging.records import Delivery
from shared.messaging.relay import Relay
from shared.tasks import end_tasks
from shared.telemetry import Cause
from tests.chaos.behind import Behind, behind_a_proxy
from tests.integration.test_messaging_outbox import emptied, sent
from tests.messaging_bench import Recorder, Tape, settings, withdrawn
from tests.proxy import Cut, When
from tests.waiting import until

A, B, C = "0190d5c0-0000-7000-8000-00000000000a", "0190d5c0-0000-7000-8000-00000000000b", new_id()
WORDS = 60
"""More than a batch says to its database."""


@pytest.fixture
async def behind(messaging_database: Database) -> AsyncIterator[Behind]:
    limits = {"statement_timeout_s": 1.0, "connect_timeout_s": 1.0, "pool_wait_s": 0.3}
    async with behind_a_proxy(messaging_database.dsn, "funding", **limits) as behind:
        yield behind


@pytest.mark.parametrize(("when", "batch"), [*((when, "whole") for when in get_args(When)), ("before", "singly")])
async def test_a_batch_that_is_cut_at_any_word_has_its_effects_once(behind: Behind, when: When, batch: str) -> None:
    """Also where it is redone singly, in savepoints: what a cut breaks there is no reason to set a record aside."""
    recorder, tape = Recorder(behind.db), Tape()
    consumer, broken = recorder.consumer(), 0
    for word in range(1, WORDS):
        note = str(word)
        records = [tape.record(withdrawn(A, note)), tape.record(withdrawn(B, note))]
        if batch == "singly":
            records.insert(1, replace(tape.record(withdrawn(C)), value=b"\xff", key=new_id().encode()))
            broken += 1
        behind.proxy.cut = cut = Cut(when, at=word)
        await consumer.take(records)
        behind.proxy.cut = None
        if not cut.done:
            break
    assert word > 4
    done = [str(number) for number in range(1, word + 1)]
    assert await recorder.effects(A) == done
    assert await recorder.effects(B) == done
    assert await behind.count("dead_letter") == await behind.count("halted_key") == broken
    assert await behind.count("outbox WHERE topic = 'intake.applications'") == 2 * word
    await behind.nothing_left_open()


async def test_a_consumer_waits_while_its_database_is_silent_and_goes_on_by_itself(behind: Behind) -> None:
    recorder, tape = Recorder(behind.db), Tape()
    consumer = recorder.consumer()
    behind.proxy.freezes_at = 4
    taking = asyncio.create_task(consumer.take([tape.record(withdrawn(A, "1"))]))
    await until(lambda: consumer.progress.problem is not None)
    assert not taking.done()
    behind.proxy.thaw()
    await taking
    assert await recorder.effects() == ["1"]
    assert consumer.progress.problem is None
    await behind.nothing_left_open()


async def test_a_consumer_waits_for_a_connection_of_a_full_pool(behind: Behind) -> None:
    db = Database(behind.direct.dsn, "funding", 1, pool_wait_s=0.05)
    recorder, tape = Recorder(db), Tape()
    consumer = recorder.consumer()
    async with db.transaction() as held:
        await held.fetch_value("SELECT 1")
        taking = asyncio.create_task(consumer.take([tape.record(withdrawn(A, "1"))]))
        await until(lambda: consumer.progress.problem is not None)
    await taking
    await db.close()
    assert await behind.count("effect") == 1
    assert await behind.count("dead_letter") == 0


async def test_a_statement_that_takes_too_long_is_tried_again_with_its_batch(behind: Behind) -> None:
    recorder, tape = Recorder(behind.db), Tape()
    consumer = recorder.consumer()
    async with behind.direct.transaction() as hog:
        await hog.execute("LOCK TABLE effect IN EXCLUSIVE MODE")
        taking = asyncio.create_task(consumer.take([tape.record(withdrawn(A, "1"))]))
        await until(lambda: consumer.progress.problem is not None)
        assert consumer.progress.problem is not None
        assert "57014" in consumer.progress.problem
        assert await behind.count("inbox") == 0
    await taking
    assert await behind.count("effect") == await behind.count("inbox") == 1
    assert await behind.count("dead_letter") == 0


@dataclass
class Ledger(Recorder):
    """A service whose handlers lock a row for each key in the order in which the events come."""

    meeting: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(2))
    met: bool = False

    async def handle(self, deliveries: Sequence[Delivery[Event]], tx: Transaction, now: datetime) -> None:
        self.calls += 1
        for place, delivery in enumerate(deliveries):
            await tx.execute("UPDATE effect SET note = note || '.' WHERE key = :key", key=delivery.key)
            if place == 0 and not self.met:
                await self.meeting.wait()
                self.met = True

    async def prepared(self) -> None:
        async with self.db.transaction() as tx:
            await tx.execute("INSERT INTO effect (key, note) VALUES (:a, ''), (:b, '')", a=A, b=B)


async def test_of_two_batches_that_deadlock_one_is_retried_and_both_effects_are_there_once(behind: Behind) -> None:
    ledger, tape = Ledger(behind.direct), Tape()
    await ledger.prepared()
    first, second = [tape.record(withdrawn(A)), tape.record(withdrawn(B))], [withdrawn(B), withdrawn(A)]
    consumers = [ledger.consumer(), ledger.consumer()]
    await asyncio.gather(consumers[0].take(first), consumers[1].take([tape.record(each) for each in second]))
    assert await ledger.effects() == ["..", ".."]
    assert ledger.calls == 3
    assert await behind.count("dead_letter") == 0


async def test_relays_whose_connections_are_cut_lose_nothing_and_keep_the_order_of_each_key(
    behind: Behind, kafka: str
) -> None:
    keys = [new_id() for _ in range(5)]
    chosen = settings(kafka_bootstrap_servers=kafka, relay_rows=7)
    relays = [asyncio.create_task(Relay(behind.db, chosen).run()) for _ in range(2)]
    for number in range(60):
        async with behind.direct.transaction() as tx:
            for key in keys:
                tx.outbox.record(withdrawn(key, str(number)), Cause.anew("test"))
        if number % 10 == 5:
            behind.proxy.cut_all()
    await emptied(behind.direct)
    await end_tasks(relays)
    by_key: dict[str, list[int]] = {key: [] for key in keys}
    for record in await sent(kafka, set(keys)):
        sequence = int(dict(record.headers)["ce_sequence"])
        if sequence not in by_key[record.key.decode()]:
            by_key[record.key.decode()].append(sequence)
    assert by_key == {key: list(range(1, 61)) for key in keys}
    await behind.nothing_left_open()


async def test_a_relay_whose_database_falls_silent_goes_on_by_itself(behind: Behind, kafka: str) -> None:
    relay = Relay(behind.db, settings(kafka_bootstrap_servers=kafka))
    task = asyncio.create_task(relay.run())
    async with behind.direct.transaction() as tx:
        tx.outbox.record(withdrawn(new_id()), Cause.anew("test"))
    await emptied(behind.direct)
    behind.proxy.freeze()
    await until(lambda: relay.progress.problem is not None)
    async with behind.direct.transaction() as tx:
        tx.outbox.record(withdrawn(new_id()), Cause.anew("test"))
    behind.proxy.thaw()
    await emptied(behind.direct)
    await end_tasks([task])
    await behind.nothing_left_open()
