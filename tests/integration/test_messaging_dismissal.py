"""What a person may let go: a record that is no event, so that its key goes on; never an event."""

import json
from typing import Any

import pytest

from shared.db import Database
from shared.events.ops import DismissalRequested
from shared.messaging.commands import dismiss_as_asked
from shared.messaging.consume import Consumer
from shared.messaging.records import RawRecord, unpack_headers
from tests.messaging_bench import Recorder, Tape, withdrawn

A, B = "0190d5c0-0000-7000-8000-00000000000a", "0190d5c0-0000-7000-8000-00000000000b"


@pytest.fixture
def recorder(messaging_database: Database) -> Recorder:
    return Recorder(messaging_database)


async def dismiss(consumer: Consumer, record: RawRecord) -> None:
    asked = DismissalRequested(
        occurred_at=withdrawn(A).occurred_at, service="funding", consumer=consumer.name, origin_topic=record.topic,
        origin_partition=record.partition, origin_offset=record.offset, because="a test by hand", requested_by="olga",
    )  # fmt: skip
    for _ in range(2):  # a command may come twice
        await dismiss_as_asked(asked, [consumer])


async def lifted(recorder: Recorder) -> list[dict[str, Any]]:
    async with recorder.db.transaction() as tx:
        rows = await tx.fetch_all("SELECT type, payload FROM outbox WHERE type LIKE '%QuarantineLifted%' ORDER BY id")
    return [json.loads(row["payload"]) for row in rows]


async def test_a_record_without_a_key_can_be_dismissed_and_its_bytes_stay(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    stray = tape.raw(None, b"\xff?", (("ce_id", None),))
    await consumer.take([stray, tape.record(withdrawn(A))])
    await dismiss(consumer, stray)
    [said] = await lifted(recorder)
    assert (said["how"], said["because"], said["requested_by"]) == ("dismissed", "a test by hand", "olga")
    assert (said["origin_offset"], said["origin_key"]) == (stray.offset, "")
    async with recorder.db.transaction() as tx:
        row = await tx.fetch_one("SELECT * FROM dead_letter WHERE replayed_at IS NOT NULL")
    assert row is not None
    assert (row["value"], unpack_headers(row["headers"])) == (stray.value, stray.headers)
    assert row["reason"].endswith("the record has no key; dismissed: a test by hand")


async def test_what_waits_behind_a_dismissed_record_goes_on_in_order(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    poison = tape.raw(B.encode(), b"\xff")
    await consumer.take([tape.record(withdrawn(B, "1")), poison, tape.record(withdrawn(B, "2"))])
    await consumer.take([tape.record(withdrawn(B, "3"))])
    await dismiss(consumer, poison)
    await consumer.take([tape.record(withdrawn(B, "4")), poison])
    assert await recorder.effects(B) == ["1", "2", "3", "4"]
    assert await recorder.count("halted_key") == 0
    assert await recorder.count("parked_record") == 0


async def test_a_record_that_had_waited_before_it_was_set_aside_does_not_come_back(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    recorder.broken_keys.add(B)
    await consumer.take([tape.record(withdrawn(B, "1"))])
    poison = tape.raw(B.encode(), b"\xff")
    await consumer.take([poison, tape.record(withdrawn(B, "3"))])
    recorder.broken_keys.clear()
    assert not await consumer.replay(B.encode(), "olga")
    await dismiss(consumer, poison)
    assert await recorder.effects(B) == ["1", "3"]
    assert await recorder.count("dead_letter WHERE replayed_at IS NULL") == 0
    assert [each["how"] for each in await lifted(recorder)] == ["replayed", "dismissed"]


async def test_an_event_is_never_let_go_but_tried_again(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    recorder.broken_keys.add(B)
    event = tape.record(withdrawn(B, "1"))
    await consumer.take([event, tape.record(withdrawn(B, "2"))])
    await dismiss(consumer, event)
    assert await recorder.effects(B) == []
    assert await recorder.count("dead_letter WHERE replayed_at IS NULL AND attempts = 9") == 1
    recorder.broken_keys.clear()
    await dismiss(consumer, event)
    assert await recorder.effects(B) == ["1", "2"]
    assert [each["how"] for each in await lifted(recorder)] == ["replayed"]


async def test_an_event_of_a_later_program_is_not_let_go(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    future = tape.record(withdrawn(B), event_type="releve.ApplicationWithdrawn.v9")
    await consumer.take([future])
    await dismiss(consumer, future)
    assert await recorder.count("parked_record") == 1
    assert await recorder.count("halted_key") == 1
