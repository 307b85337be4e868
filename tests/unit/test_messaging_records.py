"""What a record says: its headers whole, and no field of a later version, also inside the call file."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from shared.events.base import EVENT_TYPES
from shared.events.call import Call
from shared.events.intake import CallPublished
from shared.events.topics import TOPICS
from shared.ids import new_id
from shared.messaging.records import Delivery, Malformed, belongs, read_record
from tests.messaging_bench import Tape, withdrawn

CALL = Path(__file__).parents[2] / "data" / "innovation-2021" / "call.yaml"


def test_a_later_version_s_fields_are_ignored_also_inside_the_call_file() -> None:
    call = Call.model_validate(YAML(typ="safe").load(CALL.read_text(encoding="utf-8")))
    at = datetime(2021, 6, 3, tzinfo=UTC)
    event = CallPublished(occurred_at=at, call_id=call.id, call_version=call.version, call=call)
    record = Tape("intake.calls").record(event)
    document = json.loads(record.value or b"")
    document["later"] = document["call"]["later"] = document["call"]["rounds"][0]["later"] = 1
    read = read_record(replace(record, value=json.dumps(document).encode()))
    assert isinstance(read, Delivery)
    assert read.event == event


def test_a_header_is_read_as_it_is_whatever_is_in_it() -> None:
    record = Tape().record(withdrawn(new_id()))
    for trace in (b"", b"a\0b", "é\u2028".encode()):
        headers = tuple((name, trace if name == "traceparent" else value) for name, value in record.headers)
        read = read_record(replace(record, headers=headers))
        assert read.cause.traceparent == trace.decode()
        assert read.event_id == dict(record.headers)["ce_id"].decode()  # type: ignore[union-attr]


@pytest.mark.parametrize(("value", "said"), [(None, "is null"), (b"\xff", "is not UTF-8")])
def test_a_header_that_cannot_be_read_is_named(value: bytes | None, said: str) -> None:
    record = Tape().record(withdrawn(new_id()))
    headers = tuple((name, value if name == "ce_time" else said_) for name, said_ in record.headers)
    with pytest.raises(Malformed, match=f"header ce_time {said}"):
        read_record(replace(record, headers=headers))


def test_an_event_on_a_topic_of_another_service_is_no_event_of_it() -> None:
    record = Tape().record(withdrawn(new_id()))
    assert isinstance(read_record(record), Delivery)
    for topic in ("review.scores", "funding.grants", "review.dead-letters"):
        with pytest.raises(Malformed, match="ApplicationWithdrawn does not belong on this topic"):
            read_record(replace(record, topic=topic))


def test_every_declared_event_belongs_where_it_is_declared_and_nowhere_else() -> None:
    declared = {(name, topic.name) for topic in TOPICS for name in topic.events}
    known = {each.__name__: each for each in EVENT_TYPES.values() if each.__module__.startswith("shared.events.")}
    assert {(name, topic.name) for name, each in known.items() for topic in TOPICS if belongs(each, topic.name)} == (
        declared
    )
