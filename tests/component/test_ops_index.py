"""Ops sees every record once, broken ones too, and nothing of a person."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.ops import search, store
from services.ops.consumers import subscribe
from services.ops.entry import entry_of
from shared.db import Database
from shared.events.ops import ReplayRequested
from shared.events.topics import TOPICS
from tests.builders_history import raw_of, whole_story
from tests.builders_ops import Ops, running_ops
from tests.databases import Databases


@pytest.fixture
async def ops(databases: Databases) -> AsyncIterator[Ops]:
    async with running_ops(await databases("ops")) as running:
        yield running


async def test_every_record_stands_once_however_often_it_is_delivered(ops: Ops) -> None:
    records = whole_story().past.records
    await ops.take(records, times=3)
    rows = await ops.rows()
    assert len(rows) == len(records)
    assert {row["event_id"] for row in rows} == {record.event_id for record in records}
    assert [row["reference"] for row in rows if row["reference"]] == [f"INNO-2021-{n:04}" for n in range(1, 7)]


async def test_an_event_that_was_published_twice_is_seen_twice(ops: Ops) -> None:
    record = whole_story().past.records[0]
    await ops.take([raw_of(record), raw_of(record, offset=record.offset + 5)])
    assert [row["offset"] for row in await ops.rows()] == [0, 5]


async def test_broken_records_are_seen_among_the_others_and_stop_nothing(ops: Ops) -> None:
    records = [r for r in whole_story().past.records if r.topic == "review.scores"]
    broken = [
        raw_of(records[1], value=b"\xff\xfe", offset=90), raw_of(records[1], value=b"{}", offset=91),
        raw_of(records[1], key=None, offset=92), raw_of(records[1], key=b"\x00\xff", value=b"\x00", offset=93),
        raw_of(records[1], headers=(("ce_type", None), ("odd\x00", b"\xff\x00")), offset=94),
        raw_of(records[1], value=None, offset=95),
        raw_of(records[1], headers=(("ce_type", b"releve.Unknown.v9"), ("ce_id", b"no")), offset=96),
    ]  # fmt: skip
    await ops.take([records[0], *broken, *records[2:]])
    rows = await ops.rows()
    assert [row["offset"] for row in rows if row["problem"]] == [90, 91, 92, 93, 94, 95, 96]
    assert all(row["payload"] is None for row in rows if row["problem"])
    assert len([row for row in rows if not row["problem"]]) == len(records) - 1
    by_offset = {row["offset"]: row for row in rows}
    assert by_offset[93]["key"] == "\\x00\\xff"
    assert by_offset[96]["type"] == "releve.Unknown.v9"
    assert by_offset[95]["problem"] == "a tombstone on a topic that has none"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"])
@pytest.mark.parametrize("stamp", [-(2**63), -1, 0, 2**63 - 1])
async def test_a_record_of_the_ends_of_time_is_seen_like_any_other(ops: Ops, time: str, stamp: int) -> None:
    record = next(r for r in whole_story().past.records if r.topic == "review.scores")
    raw = raw_of(record, offset=90)
    headers = tuple((name, time.encode() if name == "ce_time" else value) for name, value in raw.headers)
    await ops.take([replace(raw, headers=headers, timestamp_ms=stamp)])
    [row] = await ops.rows()
    assert (row["offset"], row["problem"]) == (90, None if "Z" in time else "header ce_time is at the end of time")


async def test_a_row_that_the_database_refuses_still_stands_by_its_place(ops: Ops) -> None:
    records = whole_story().past.records[:3]
    # Longer than an entry of the index by key can be, and not to be compressed.
    too_long = raw_of(records[1], key=random.Random(7).randbytes(6_000).hex().encode(), value=b"{}", offset=700)
    await ops.take([records[0], too_long, records[2]])
    rows = await ops.rows()
    assert len(rows) == 3
    assert [row["problem"][:21] for row in rows if row["offset"] == 700] == ["the index refused it:"]


async def test_personal_topics_are_not_read() -> None:
    personal = {topic.name for topic in TOPICS if topic.personal}
    assert personal == {"intake.contacts", "intake.sign-ins"}
    assert personal.isdisjoint(subscribe.topics)
    assert set(subscribe.topics) == {topic.name for topic in TOPICS} - personal


async def test_a_command_is_indexed_and_obeyed_no_twice(ops: Ops) -> None:
    past = whole_story().past
    asked = past.record(
        ReplayRequested(occurred_at=past.now, service="ops", consumer="ops.review.scores", origin_key="k",
                        requested_by="operator-1")
    )  # fmt: skip
    await ops.take([asked])
    assert len(await ops.rows("SELECT * FROM event WHERE topic = 'ops.commands'")) == 1


async def test_who_reads_on_from_an_id_misses_nothing_that_was_inserted_at_the_same_time(ops: Ops) -> None:
    records = whole_story().past.records
    seen: list[int] = []

    async def read(db: Database) -> None:
        async with asyncio.timeout(60):
            while len(seen) < len(records):
                async with db.transaction() as tx:
                    after = seen[-1] if seen else 0
                    upto = await store.last_id(tx)
                    seen.extend(row["id"] for row in await search.matching(tx, search.Filters(), after, upto, 1000))

    async def write(part: list[int]) -> None:
        for number in part:
            async with ops.db.transaction() as tx:
                await store.index(tx, [entry_of(raw_of(records[number]))])
                # Longer than a reader's look: an id drawn earlier must not become visible later.
                await tx.execute("SELECT pg_sleep(0.005)")

    numbers = list(range(len(records)))
    await asyncio.gather(read(ops.db), *(write(numbers[part::4]) for part in range(4)))
    assert len(seen) == len(records)
    assert seen == sorted(seen)
