"""Poison on real topics: what no program can read stops its own key, is kept byte for byte, and others never notice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from shared.db import Database
from shared.history.reading import read_history, read_one
from shared.ids import new_id
from shared.messaging.broker import Subscriber
from shared.messaging.fetching import fetched_at
from shared.messaging.records import RawRecord, unpack_headers
from shared.messaging.wire import CODEC, HEADER
from shared.tasks import end_tasks
from tests.builders_funding import a_call, a_funding, dossiers, published
from tests.chaos.poisons import FUTURE, NO_TEXT, POISON, escaped, whole
from tests.databases import Databases
from tests.foreign import foreign_publisher
from tests.messaging_bench import TOPIC, Recorder, settings
from tests.waiting import until


@asynccontextmanager
async def consuming(recorder: Recorder, bootstrap: str, group: str) -> AsyncIterator[None]:
    consumer = recorder.consumer()
    consumer.name = group
    subscriber = Subscriber([consumer], settings(kafka_bootstrap_servers=bootstrap), "funding")
    task = asyncio.create_task(subscriber.run())
    try:
        yield
    finally:
        await end_tasks([task])


async def test_every_kind_of_poison_stops_its_own_key_only_and_is_kept_byte_for_byte(
    messaging_database: Database, kafka: str
) -> None:
    """The poison lies among good records of its own key and of others, on the same partitions."""
    keys = {kind: new_id() for kind in (*POISON, *FUTURE)}
    healthy = [new_id() for _ in range(24)]
    recorder = Recorder(messaging_database, only_keys=frozenset([*keys.values(), *healthy]))
    lain: dict[str, RawRecord] = {}
    async with foreign_publisher(kafka, TOPIC) as publisher:
        for note in ("1", "2", "3"):
            for key in (*healthy, *keys.values()):
                await publisher.put(whole(key, note))
            if note == "1":
                for kind, spoil in (POISON | FUTURE).items():
                    lain[kind] = await publisher.put(spoil(whole(keys[kind])))
                keyless = await publisher.put(replace(whole(healthy[0]), key=None))
    async with consuming(recorder, kafka, f"test.{new_id()}"):
        wanted = 3 * len(healthy) + len(keys)
        await until(lambda: _counts(recorder, "effect", wanted))
        await until(lambda: _counts(recorder, f"parked_record WHERE {_of(keys.values())}", 2 * len(keys) + len(FUTURE)))
    for key in healthy:
        assert await recorder.effects(key) == ["1", "2", "3"]
    for kind, key in keys.items():
        assert await recorder.effects(key) == ["1"], kind
    for kind in POISON:
        await assert_kept(messaging_database, lain[kind], kind)
    await assert_kept(messaging_database, keyless, "no key")
    assert await recorder.count(f"dead_letter WHERE {_of(keys.values())}") == len(POISON)
    assert await recorder.count(f"halted_key WHERE cause = 'quarantined' AND {_of(keys.values())}") == len(POISON)
    assert await recorder.count(f"halted_key WHERE cause = 'unknown_type' AND {_of(keys.values())}") == len(FUTURE)


def _of(keys: object) -> str:
    named = ", ".join(f"'{key}'" for key in keys)  # type: ignore[attr-defined]
    return f"convert_from(key, 'UTF8') IN ({named})"


async def _counts(recorder: Recorder, table: str, wanted: int) -> bool:
    return await recorder.count(table) >= wanted


async def assert_kept(db: Database, record: RawRecord, kind: str) -> None:
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    async with db.transaction() as tx:
        row = await tx.fetch_one(
            'SELECT * FROM dead_letter WHERE topic = :topic AND partition = :partition AND "offset" = :offset', **place
        )
    assert row is not None, kind
    assert (row["key"], row["value"], unpack_headers(row["headers"])) == (record.key, record.value, record.headers)


async def test_an_event_with_a_foreign_header_that_is_no_text_has_its_effect(
    messaging_database: Database, kafka: str
) -> None:
    """A name says nothing that we read: who traces our records may add what they like."""
    key = new_id()
    recorder = Recorder(messaging_database, only_keys=frozenset([key]))
    odd = whole(key, "odd")
    async with foreign_publisher(kafka, TOPIC) as publisher:
        await publisher.put(replace(odd, headers=(*odd.headers, (escaped(NO_TEXT), b"1"))))
        await publisher.put(whole(key, "behind"))
    async with consuming(recorder, kafka, f"test.{new_id()}"):
        await until(lambda: _counts(recorder, "effect", 2))
    assert await recorder.effects(key) == ["odd", "behind"]


async def test_records_packed_by_a_codec_that_readers_may_lack_are_unpacked_by_the_broker(kafka: str) -> None:
    async with foreign_publisher(kafka, TOPIC) as publisher:
        record = await publisher.put(whole(new_id(), "packed"), gzipped=True)
    place = TopicPartition(record.topic, record.partition)
    fetched = (await fetched_at(kafka, {place: record.offset}))[place]
    attributes = HEADER.unpack_from(fetched)[5]
    assert attributes & CODEC == 0


async def test_who_reads_topics_without_a_group_reads_past_poison_too(kafka: str) -> None:
    """The command line, ops' look at an origin and the checker of histories."""
    key = new_id()
    async with foreign_publisher(kafka, TOPIC) as publisher:
        poison = await publisher.put(POISON["a header name that is not UTF-8"](whole(key)))
        behind = await publisher.put(whole(key, "behind"))
    found = await read_one(kafka, TOPIC, poison.partition, poison.offset)
    assert found is not None
    assert (found.key, found.value, found.headers) == (poison.key, poison.value, poison.headers)
    history = await read_history(kafka, [TOPIC])
    assert poison.offset in {each.offset for each in history.unreadable if each.key == key}
    assert behind.offset in {each.offset for each in history.events if each.key == key}


async def test_an_event_that_breaks_a_rule_of_its_receiver_stops_its_application_only(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    funding = await a_funding(databases, tmp_path, monkeypatch)
    members = dossiers(3)
    odd, *others = members
    await funding.receive(published(a_call()))
    unwritable = odd.submitted()
    unwritable = unwritable.model_copy(update={"project": unwritable.project.model_copy(update={"title": "a\x00b"})})
    await funding.take([funding.record(each) for each in (unwritable, *(other.submitted() for other in others))])
    await funding.take([funding.record(each.withdrawn()) for each in members])
    known = await funding.rows("SELECT * FROM application WHERE submitted_at IS NOT NULL AND withdrawn_at IS NOT NULL")
    assert {str(row["application_id"]) for row in known} == {each.id for each in others}
    assert await funding.value("SELECT count(*) FROM dead_letter") == 1
    assert await funding.value("SELECT count(*) FROM parked_record") == 1
