"""What becomes of a record: each event has its effect once, a broken one stops only its own key."""

import json
from collections.abc import Sequence
from datetime import datetime

import pytest

from shared.db import Database, Transaction
from shared.events.ops import EventQuarantined, ReplayRequested
from shared.messaging.commands import replay_as_asked
from shared.messaging.consume import Consumer
from shared.messaging.records import Delivery, RawRecord, pack_headers, unpack_headers
from shared.messaging.subscriptions import Subscriptions
from tests.messaging_bench import Recorder, Tape, accepted, settings, withdrawn

A, B = "0190d5c0-0000-7000-8000-00000000000a", "0190d5c0-0000-7000-8000-00000000000b"


@pytest.fixture
def recorder(messaging_database: Database) -> Recorder:
    return Recorder(messaging_database)


async def test_an_event_delivered_twice_has_one_effect(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    record = tape.record(withdrawn(A))
    await consumer.take([record, record])
    await consumer.take([record])
    assert await recorder.effects() == ["no room"]
    assert await recorder.count("outbox") == 1


async def test_the_order_of_a_key_is_kept_across_types(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    events = [accepted(A), withdrawn(A, "1"), accepted(B), accepted(A), withdrawn(B, "2")]
    await consumer.take([tape.record(event) for event in events])
    assert await recorder.effects(A) == ["accepted", "1", "accepted"]
    assert await recorder.effects(B) == ["accepted", "2"]
    assert recorder.calls < len(events)


BROKEN: dict[str, tuple[bytes | None, str]] = {
    "bytes that are not UTF-8": (b"\xff\xfe\x00", "value: "),
    "not JSON": (b"{oops", "value: "),
    "a broken schema": (b'{"occurred_at": "2021-09-01T00:00:00Z", "call_id": 7}', "call_version: Field required"),
    "a tombstone where none belongs": (None, "a tombstone on a topic that has none"),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_record_is_kept_byte_for_byte_and_others_flow(recorder: Recorder, kind: str) -> None:
    value, reason = BROKEN[kind]
    tape = Tape()
    good = tape.record(withdrawn(A))
    broken = RawRecord(**{**vars(tape.record(withdrawn(B))), "value": value})
    await recorder.consumer().take([broken, good])
    assert await recorder.effects() == ["no room"]
    async with recorder.db.transaction() as tx:
        letter = await tx.fetch_one("SELECT * FROM dead_letter")
        said = await tx.fetch_one("SELECT * FROM outbox WHERE topic = 'funding.dead-letters'")
    assert letter is not None
    assert said is not None
    assert (letter["key"], letter["value"], letter["attempts"]) == (broken.key, value, 3)
    assert unpack_headers(letter["headers"]) == broken.headers
    assert reason in letter["reason"]
    event = json.loads(said["payload"])
    assert (event["origin_key"], event["origin_offset"], event["attempts"]) == (B, broken.offset, 3)


@pytest.mark.parametrize("header", [("ce_id", None), ("ce_id", b"\xff"), ("ce_sequence", b"x"), ("ce_id", b"7")])
async def test_a_broken_header_stops_its_key_only(recorder: Recorder, header: tuple[str, bytes | None]) -> None:
    tape = Tape()
    whole = tape.record(withdrawn(B))
    broken = RawRecord(**{**vars(whole), "headers": (*[h for h in whole.headers if h[0] != header[0]], header)})
    await recorder.consumer().take([broken, tape.record(withdrawn(A)), tape.record(withdrawn(B, "later"))])
    assert await recorder.effects() == ["no room"]
    assert await recorder.count("parked_record") == 1


HOSTILE: dict[str, tuple[bytes, tuple[str, bytes | None]]] = {
    "a character 0 in its id": (b"k", ("ce_id", b"a\x00b")),
    "a character 0 in its key": (b"a\x00b", ("ce_id", b"7")),
    "a character 0 in a header's name": (b"k", ("a\x00b", None)),
    "a key too long for an index": (bytes(range(1, 256)) * 100, ("ce_id", b"7")),
    "a header's name too long for a reason": (b"k", ("h" * 600_000, None)),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_record_made_to_defeat_its_own_quarantine_stops_its_key_only(recorder: Recorder, kind: str) -> None:
    key, header = HOSTILE[kind]
    tape, consumer = Tape(), recorder.consumer()
    hostile = tape.raw(key, b"\x00\xff", (header,))
    await consumer.take([hostile, tape.record(withdrawn(A)), tape.raw(key, b"behind it")])
    await consumer.take([tape.raw(key, b"later")])
    assert await recorder.effects() == ["no room"]
    async with recorder.db.transaction() as tx:
        letter = await tx.fetch_one("SELECT * FROM dead_letter")
        said = await tx.fetch_value("SELECT payload FROM outbox WHERE topic = 'funding.dead-letters'")
    assert letter is not None
    assert (letter["key"], letter["value"], unpack_headers(letter["headers"])) == (key, b"\x00\xff", (header,))
    assert len(letter["reason"]) <= 500
    assert await recorder.count("parked_record") == 2
    event = EventQuarantined.model_validate_json(said)
    asked = ReplayRequested(
        occurred_at=event.occurred_at, service="funding", consumer=consumer.name, origin_key=event.origin_key,
        requested_by="operator",
    )  # fmt: skip
    await replay_as_asked(asked, recorder.db, [consumer])
    assert await recorder.count("dead_letter WHERE attempts = 6") == 1


async def test_a_record_without_a_key_stops_nothing(recorder: Recorder) -> None:
    tape = Tape()
    await recorder.consumer().take([tape.raw(None, b"x"), tape.record(withdrawn(A))])
    assert await recorder.effects() == ["no room"]
    assert await recorder.count("dead_letter") == 1
    assert await recorder.count("halted_key") == 0


async def test_a_broken_command_holds_up_no_other(recorder: Recorder) -> None:
    subscribe = Subscriptions("funding")
    obeyed: list[str] = []

    async def obey(deliveries: Sequence[Delivery[ReplayRequested]], tx: Transaction, now: datetime) -> None:
        obeyed.extend(each.event.consumer for each in deliveries)

    subscribe(ReplayRequested)(obey)
    consumer, tape = Consumer(recorder.db, subscribe, "ops.commands", settings()), Tape("ops.commands")

    def asked(name: str) -> ReplayRequested:
        return ReplayRequested(
            occurred_at=withdrawn(A).occurred_at, service="funding", consumer=name, origin_key=A, requested_by="op"
        )

    whole = tape.record(asked("of a program to come"), event_type="releve.OtherRequested.v1")
    await consumer.take([tape.raw(b"funding", b"\xff"), whole, tape.record(asked("first"))])
    await consumer.take([tape.record(asked("second"))])
    assert obeyed[-2:] == ["first", "second"]
    assert await recorder.count("halted_key") == await recorder.count("parked_record") == 0
    assert await recorder.count("dead_letter WHERE replayed_at IS NULL") == 2
    for offset in (1, 2):
        assert await consumer.dismiss(0, offset, "no command", "op")
    assert await recorder.count("dead_letter WHERE replayed_at IS NULL") == 0


async def test_later_events_of_a_halted_key_wait_and_a_replay_runs_them_in_order(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    recorder.broken_keys.add(B)
    first, second, third = (tape.record(withdrawn(B, note)) for note in ("1", "2", "3"))
    await consumer.take([first, tape.record(withdrawn(A)), second])
    await consumer.take([second, third])  # the second came again: it is parked once
    assert await recorder.effects() == ["no room"]
    assert await recorder.count("parked_record") == 2

    assert not await consumer.replay(B.encode(), "operator")
    assert await recorder.effects(B) == []

    recorder.broken_keys.clear()
    asked = ReplayRequested(
        occurred_at=withdrawn(A).occurred_at, service="funding", consumer=consumer.name, origin_key=B,
        requested_by="operator",
    )  # fmt: skip
    await replay_as_asked(asked, recorder.db, [consumer])
    await replay_as_asked(asked, recorder.db, [consumer])
    assert await recorder.effects(B) == ["1", "2", "3"]
    for table in ("halted_key", "parked_record"):
        assert await recorder.count(table) == 0
    assert await recorder.count("dead_letter WHERE replayed_by = 'operator'") == 1

    await consumer.take([tape.record(withdrawn(B, "4")), first, third])
    assert await recorder.effects(B) == ["1", "2", "3", "4"]


async def test_a_replay_that_meets_another_broken_record_stops_there(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    recorder.broken_keys.add(B)
    await consumer.take([tape.record(withdrawn(B, "1"))])
    poison = tape.raw(B.encode(), b"\xff")
    await consumer.take([poison, tape.record(withdrawn(B, "3"))])
    recorder.broken_keys.clear()
    assert not await consumer.replay(B.encode(), "operator")
    assert await recorder.effects(B) == ["1"]
    assert not await consumer.replay(B.encode(), "operator")
    assert await recorder.effects(B) == ["1"]
    assert await recorder.count("dead_letter WHERE replayed_at IS NULL") == 1
    assert await recorder.count("halted_key") == 1


async def test_an_unknown_type_parks_its_key_until_the_next_start(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    future = tape.record(withdrawn(B, "future"), event_type="releve.ApplicationWithdrawn.v9")
    await consumer.take([future, tape.record(withdrawn(A)), tape.record(withdrawn(B, "2"))])
    assert await recorder.effects() == ["no room"]
    assert await recorder.count("dead_letter") == 0
    await consumer.replay_unknown()
    assert await recorder.count("parked_record") == 2

    known = tape.record(withdrawn(B, "future"))
    async with recorder.db.transaction() as tx:  # stands for a program whose next version knows the type
        await tx.execute(
            'UPDATE parked_record SET headers = :headers WHERE "offset" = :offset',
            headers=pack_headers(known.headers),
            offset=future.offset,
        )
    await consumer.replay_unknown()
    assert await recorder.effects(B) == ["future", "2"]
    assert await recorder.count("halted_key") == 0


async def test_an_event_whose_handler_always_fails_is_tried_three_times(recorder: Recorder) -> None:
    tape = Tape()
    recorder.broken_keys.add(B)
    await recorder.consumer().take([tape.record(withdrawn(B)), tape.record(withdrawn(A))])
    assert recorder.calls == 1 + 3 + 1
    assert await recorder.effects() == ["no room"]


async def test_a_dependency_that_is_away_is_waited_for(recorder: Recorder) -> None:
    tape, consumer = Tape(), recorder.consumer()
    recorder.failures += [ConnectionRefusedError("away"), TimeoutError("slow")]
    await consumer.take([tape.record(withdrawn(A))])
    assert await recorder.effects() == ["no room"]
    assert await recorder.count("dead_letter") == 0


async def test_a_type_that_nobody_handles_is_skipped(recorder: Recorder) -> None:
    tape = Tape()
    other = withdrawn(A)
    record = tape.record(other, event_type="releve.GrantDeclined.v1", value=accepted(A).model_dump_json().encode())
    await recorder.consumer().take([record])
    assert await recorder.count("inbox") == 0
    assert await recorder.count("dead_letter") == 0
