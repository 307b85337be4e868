"""The way of a broken event through operations: set aside, seen in ops, replayed or dismissed there, over Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from services.ops.consumers import IndexingConsumer
from services.ops.consumers import subscribe as every_topic
from shared.db import Database
from shared.ids import new_id
from shared.messaging.broker import Subscriber
from shared.messaging.commands import obey_replays
from shared.messaging.consume import Consumer
from shared.messaging.records import RawRecord
from shared.messaging.relay import Relay
from shared.messaging.subscriptions import Subscriptions
from shared.tasks import end_tasks
from tests.builders_ops import OPERATOR, Ops, running_ops
from tests.databases import Databases
from tests.foreign import Foreign, foreign_publisher
from tests.messaging_bench import TOPIC, Recorder, Tape, settings, withdrawn
from tests.waiting import until

SEEN_WITHIN_S = 5
COMMANDS, LETTERS = "ops.commands", "funding.dead-letters"


@dataclass
class Both:
    """A service that stands for funding, and ops beside it, with Kafka between them."""

    recorder: Recorder
    ops: Ops
    publisher: Foreign
    group: str

    async def letter(self, wanted: str) -> dict[str, Any] | None:
        """What ops shows of a record that this service has set aside: by its key, or by its place if it has none.

        Other tests leave dead letters and records without a key on the same topics, and both read those too.
        """
        page: str | None = "/api/v1/dead-letters?state=all"
        while page is not None:
            shown = await self.ops.get(page)
            for each in shown["items"]:
                if each["consumer"] == self.group and wanted in (each["origin_key"], place(each)):
                    return dict(each)
            page = shown["next"]
        return None

    async def seen(self, wanted: str) -> dict[str, Any]:
        """The same, once ops shows it."""
        await until(lambda: self._shown(wanted))
        letter = await self.letter(wanted)
        assert letter is not None
        return letter

    async def _shown(self, wanted: str) -> bool:
        return await self.letter(wanted) is not None

    async def ask(self, letter: dict[str, Any], act: str, body: dict[str, str] | None = None) -> None:
        path = f"/api/v1/dead-letters/{letter['id']}/{act}"
        answer = await self.ops.client.post(path, json=body, headers=OPERATOR)
        assert answer.status_code == 202, answer.text

    async def ended(self, wanted: str, how: str) -> bool:
        letter = await self.letter(wanted)
        return letter is not None and letter["ended"] == how


@pytest.fixture
async def both(messaging_database: Database, databases: Databases, kafka: str) -> AsyncIterator[Both]:
    ops_db, run = await databases("ops"), new_id()
    recorder = Recorder(messaging_database, echoes=False)
    own = recorder.consumer()
    own.name = f"funding.{TOPIC}.{run}"
    commands = Subscriptions("funding")
    obey_replays(commands, messaging_database, [own])
    obeying = Consumer(messaging_database, commands, COMMANDS, settings())
    watching = [IndexingConsumer(ops_db, every_topic, topic, settings()) for topic in (COMMANDS, LETTERS)]
    for consumer in (obeying, *watching):
        consumer.name = f"{consumer.name}.{run}"
    async with (
        running_ops(ops_db, kafka) as ops,
        foreign_publisher(kafka, TOPIC) as publisher,
        working(kafka, messaging_database, [own, obeying]),
        working(kafka, ops_db, watching),
    ):
        yield Both(recorder, ops, publisher, own.name)


@asynccontextmanager
async def working(bootstrap: str, db: Database, consumers: list[Consumer]) -> AsyncIterator[None]:
    chosen = settings(kafka_bootstrap_servers=bootstrap)
    loops = (Subscriber(consumers, chosen, db.service).run(), Relay(db, chosen).run())
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        await end_tasks(tasks)


def about(key: str, note: str) -> RawRecord:
    return Tape().record(withdrawn(key, note))


async def test_a_key_whose_handler_fails_is_seen_in_ops_waits_and_after_a_fix_is_replayed_in_order(both: Both) -> None:
    recorder, stopped, healthy = both.recorder, new_id(), new_id()
    recorder.only_keys = frozenset([stopped, healthy])
    recorder.broken_keys.add(stopped)
    await both.publisher.put(about(healthy, "1"))
    await until(lambda: heard(recorder, healthy, ["1"]))  # everything is connected from here on

    began = time.monotonic()
    await both.publisher.put(about(stopped, "1"))
    letter = await both.seen(stopped)
    assert time.monotonic() - began < SEEN_WITHIN_S
    assert (letter["open"], letter["attempts"], letter["reason"]) == (True, 3, "ValueError: this key breaks a rule")
    assert not (await both.ops.get("/api/v1/invariants"))["invariants"]["nothing_dead_lettered"]

    for note in ("2", "3"):
        await both.publisher.put(about(stopped, note))
        await both.publisher.put(about(healthy, note))
    await until(lambda: heard(recorder, healthy, ["1", "2", "3"]))
    await until(lambda: parked(recorder, stopped, 2))
    assert await recorder.effects(stopped) == []

    await both.ask(letter, "replay")  # before there is a fix: it fails again, and everything still waits
    await until(lambda: tried_again(both, stopped))
    assert await recorder.effects(stopped) == []

    recorder.broken_keys.clear()
    await both.ask(letter, "replay")
    await until(lambda: heard(recorder, stopped, ["1", "2", "3"]))
    await both.publisher.put(about(stopped, "4"))
    await until(lambda: heard(recorder, stopped, ["1", "2", "3", "4"]))
    await until(lambda: both.ended(stopped, "replayed"))


async def test_records_that_are_no_events_are_dismissed_and_the_invariant_holds_again(both: Both) -> None:
    recorder, stopped = both.recorder, new_id()
    recorder.only_keys = frozenset([stopped])
    keyless = await both.publisher.put(replace(about(stopped, "nobody's"), key=None))
    await both.publisher.put(replace(about(stopped, "garbage"), value=b"\xff"))
    await both.publisher.put(about(stopped, "behind"))
    await until(lambda: parked(recorder, stopped, 1))

    await both.ask(await both.seen(stopped), "dismiss", {"reason": "a test by hand"})
    await until(lambda: heard(recorder, stopped, ["behind"]))
    await both.ask(await both.seen(keyless.place), "dismiss", {"reason": "nobody's"})
    await until(lambda: both.ended(stopped, "dismissed"))
    await until(lambda: both.ended(keyless.place, "dismissed"))
    letter = await both.letter(keyless.place)
    assert letter is not None
    assert (place(letter), letter["because"], letter["open"]) == (keyless.place, "nobody's", False)


def place(letter: dict[str, Any]) -> str:
    return f"{letter['origin_topic']}[{letter['origin_partition']}]@{letter['origin_offset']}"


async def heard(recorder: Recorder, key: str, notes: list[str]) -> bool:
    return await recorder.effects(key) == notes


async def parked(recorder: Recorder, key: str, count: int) -> bool:
    return await recorder.count(f"parked_record WHERE key = '{key}'") == count


async def tried_again(both: Both, key: str) -> bool:
    letter = await both.letter(key)
    return letter is not None and letter["open"] and letter["attempts"] == 6
