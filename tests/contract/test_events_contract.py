"""What is written to the topics stays readable: for us later, for those not yet updated, and for others' software."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from jsonschema import Draft202012Validator
from jsonschema_rs import canonicalize

from shared import asyncapi
from shared.events.schemas import (
    declared_types,
    ever_written,
    golden,
    read_schema,
    write,
    written_schema,
)
from shared.events.topics import TOPICS
from shared.history import Recorded
from tests.builders_history import raw_of, whole_story

TYPES = list(declared_types())


def covers(reader: dict[str, Any], writer: dict[str, Any]) -> bool:
    """Whether everything that a writer writes can be read; an undecided answer is no."""
    return str(canonicalize(reader).covers(canonicalize(closed(writer)))) == "yes"


def closed(schema: Any) -> Any:
    """The schema of what is written: a writer writes no field that it does not know, whatever a reader may ignore."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(each) for name, each in schema.items()}
    return {"additionalProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner


def test_every_declared_event_has_its_golden_schema_and_nothing_else_has() -> None:
    assert list(golden()) == TYPES


@pytest.mark.parametrize("full", TYPES)
def test_the_golden_schema_says_what_is_written(full: str) -> None:
    message = "run `python -m shared.events.schemas`, and look at what it moves to past/"
    assert golden()[full] == written_schema(declared_types()[full]), message


@pytest.mark.parametrize(("full", "where"), [(full, where) for full, where, _ in ever_written()])
def test_whatever_was_ever_written_can_still_be_read(full: str, where: str) -> None:
    schema = next(schema for _, each, schema in ever_written() if each == where)
    assert covers(read_schema(declared_types()[full]), schema), "fields are only added, with a default: a new type"


def changes() -> Iterator[tuple[str, dict[str, Any]]]:
    """Incompatible readers of GrantAwarded: what the test above must refuse."""
    reader = read_schema(declared_types()["releve.GrantAwarded.v1"])

    def changed(field: str, **keywords: Any) -> dict[str, Any]:
        other = copy.deepcopy(reader)
        other["properties"][field] = {**other["properties"].get(field, {}), **keywords}
        return other

    yield "another type", changed("amount_eur", type="string")
    yield "a narrower bound", changed("amount_eur", maximum=40_000)
    yield "a shorter text", changed("call_id", maxLength=10)
    added = changed("currency", type="string")
    yield "a new field without a default", {**added, "required": [*added["required"], "currency"]}


@pytest.mark.parametrize(("what", "reader"), list(changes()))
def test_an_incompatible_change_is_refused(what: str, reader: dict[str, Any]) -> None:
    assert not covers(reader, golden()["releve.GrantAwarded.v1"]), what


def test_a_new_field_with_a_default_is_accepted_in_both_directions() -> None:
    kind = declared_types()["releve.GrantAwarded.v1"]
    reader, writer = read_schema(kind), written_schema(kind)
    for schema in (reader, writer):
        schema["properties"]["currency"] = {"type": "string", "default": "EUR"}
    writer["required"] = [*writer["required"], "currency"]
    assert covers(reader, golden()[kind.type_name()])
    assert covers(read_schema(kind), writer)


def test_what_a_release_wrote_is_never_lost(tmp_path: Path) -> None:
    write(tmp_path)
    assert write(tmp_path) == []
    path = tmp_path / "releve.GrantAwarded.v1.json"
    path.write_text('{"type": "object"}', "utf-8")
    assert write(tmp_path) == ["releve.GrantAwarded.v1"]
    kept = [(where, schema) for _, where, schema in ever_written(tmp_path) if where.startswith("past/")]
    assert kept == [("past/releve.GrantAwarded.v1/0001.json", {"type": "object"})]


def story() -> list[Recorded]:
    return whole_story().past.records


def test_what_is_written_meets_its_golden_schema() -> None:
    for recorded in story():
        schema = golden()[recorded.type]
        value = recorded.event.model_dump(mode="json")
        assert list(Draft202012Validator(schema).iter_errors(value)) == [], recorded.type


def test_our_records_are_cloud_events_to_the_official_library() -> None:
    for recorded in story():
        raw = raw_of(recorded)
        assert raw.value is not None
        parsed = from_binary_event(KafkaMessage({n: v or b"" for n, v in raw.headers}, raw.key, raw.value))
        assert parsed.get_specversion() == "1.0"
        assert (parsed.get_id(), parsed.get_type()) == (recorded.event_id, recorded.type)
        assert (parsed.get_subject(), parsed.get_time()) == (recorded.key, recorded.time)
        assert parsed.get_source() == f"/services/{recorded.emitter}"
        assert parsed.get_dataschema() == f"/schemas/{recorded.type}.json"
        assert parsed.get_datacontenttype() == "application/json"
        assert parsed.get_extension("sequence") == str(recorded.sequence)
        assert parsed.get_extension("causationid") == recorded.causation_id
        assert parsed.get_data() == recorded.event.model_dump(mode="json")


def test_the_asyncapi_document_is_up_to_date() -> None:
    assert asyncapi.PATH.read_text("utf-8") == asyncapi.text(), "run `python -m shared.asyncapi`"


def test_the_asyncapi_document_names_every_topic_reader_and_event() -> None:
    document = asyncapi.document()
    assert set(document["channels"]) == {topic.name for topic in TOPICS}
    assert set(document["components"]["messages"]) == set(TYPES)
    reads = {name for name, each in document["operations"].items() if each["action"] == "receive"}
    assert reads == {f"{reader}.reads.{topic.name}" for topic in TOPICS for reader in topic.readers}


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi.document()

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, each in value.items():
                if name == "$ref":
                    yield each
                else:
                    yield from references(each)
        elif isinstance(value, list):
            for each in value:
                yield from references(each)

    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found
