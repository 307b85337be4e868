"""Owns the two faces of a record: bytes as Kafka holds them, and the event they say (CloudEvents binary mode)."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import ValidationError

from shared.events.base import EVENT_TYPES, Event
from shared.events.topics import BY_NAME
from shared.ids import is_id
from shared.messaging.failures import Malformed, UnknownType
from shared.telemetry import Cause

E_co = TypeVar("E_co", bound=Event, covariant=True)

LONGEST_ID, LONGEST_KEY, LONGEST_NAME = 100, 200, 80
LONGEST_SEQUENCE = 18
"""Digits that fit a 64-bit number."""
_OF_CLOUD_EVENTS, _OF_JSON = ("ce_specversion", b"1.0"), ("content-type", b"application/json")


@dataclass(frozen=True)
class RawRecord:
    """A record as it lies on its topic, byte for byte."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int = 0

    @property
    def place(self) -> str:
        """Where it lies, for people: `review.scores[3]@1207`."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True)
class Delivery(Generic[E_co]):
    """One received event. `sequence` counts 1, 2, 3 … per topic and key; `cause` names it as cause of what follows."""

    event: E_co
    event_id: str
    sequence: int
    key: str
    cause: Cause


@dataclass(frozen=True)
class Erasure:
    """A received tombstone of a compacted topic: what the key named is to be forgotten."""

    event_type: type[Event]
    event_id: str
    sequence: int
    key: str
    cause: Cause


def event_headers(
    event_id: str,
    event_type: str,
    service: str,
    key: str,
    time: str,
    sequence: int,
    causation_id: str,
    traceparent: str,
) -> list[tuple[str, bytes]]:
    """The headers of a record (CloudEvents 1.0, Kafka binary mode; `docs/design.md` §4)."""
    of_type, of_source, of_schema = _headers_of_type(event_type, service)
    return [
        _OF_CLOUD_EVENTS,
        ("ce_id", event_id.encode()),
        of_type,
        of_source,
        ("ce_subject", key.encode()),
        ("ce_time", time.encode()),
        ("ce_sequence", b"%d" % sequence),
        ("ce_causationid", causation_id.encode()),
        of_schema,
        ("traceparent", traceparent.encode()),
        _OF_JSON,
    ]


@lru_cache(maxsize=256)
def _headers_of_type(event_type: str, service: str) -> tuple[tuple[str, bytes], ...]:
    values = {
        "ce_type": event_type, "ce_source": f"/services/{service}", "ce_dataschema": f"/schemas/{event_type}.json",
    }  # fmt: skip
    return tuple((name, value.encode()) for name, value in values.items())


def read_record(record: RawRecord) -> Delivery[Event] | Erasure:
    """What a record says. Raises Malformed (never quoting it), UnknownType."""
    if record.key is None:
        raise Malformed("the record has no key")
    headers = _headers(record)
    key = _text(record.key, "the key")
    event_type = _required(headers, "ce_type")
    known = EVENT_TYPES.get(event_type)
    if known is None:
        raise UnknownType(f"no event type {event_type[:100]!r} is known here")
    if not belongs(known, record.topic):
        raise Malformed(f"{known.__name__} does not belong on this topic")
    event_id = _uuid(_required(headers, "ce_id"))
    sequence = _sequence(_required(headers, "ce_sequence"))
    cause = Cause(event_id, headers.get("traceparent", ""))
    if record.value is None:
        return Erasure(known, event_id, sequence, key, cause)
    try:
        # Also inside the call file, which is strict where it is written: fields are only added (§4).
        event = known.model_validate_json(record.value, extra="ignore")
    except ValidationError as broken:
        raise Malformed(_first_errors(broken)) from None
    if event.key != key:
        raise Malformed(f"the key of the record differs from the event's {known.__name__}.key")
    return Delivery(event, event_id, sequence, key, cause)


@lru_cache(maxsize=1024)
def belongs(event_type: type[Event], topic: str) -> bool:
    """Whether a type is declared for a topic: who may write one topic must not speak for another service there."""
    declared = BY_NAME.get(topic)
    return event_type.topic == topic if declared is None else event_type.__name__ in declared.events


def _headers(record: RawRecord) -> dict[str, str]:
    try:
        return {name: value.decode() for name, value in record.headers}  # type: ignore[union-attr]
    except (AttributeError, UnicodeDecodeError):  # one is null or broken: read one by one, and say which
        return {name: _text(value, f"header {_named(name)}") for name, value in record.headers}


def _text(value: bytes | None, what: str) -> str:
    if value is None:
        raise Malformed(f"{what} is null")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed(f"{what} is not UTF-8") from None


def _named(header: str) -> str:
    return printable(header.encode("utf-8", "surrogateescape"), LONGEST_NAME)


def _required(headers: dict[str, str], name: str) -> str:
    try:
        return headers[name]
    except KeyError:
        raise Malformed(f"header {name} is missing") from None


def _uuid(value: str) -> str:
    if is_id(value):
        return value
    try:
        return str(UUID(value))
    except ValueError:
        raise Malformed("header ce_id is not a UUID") from None


def _sequence(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > LONGEST_SEQUENCE or int(value) < 1:
        raise Malformed("header ce_sequence is not a positive number")
    return int(value)


def _first_errors(broken: ValidationError) -> str:
    errors = broken.errors(include_url=False, include_context=False, include_input=False)
    named = [f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg'].split(',')[0][:120]}" for e in errors[:5]]
    return "; ".join(named)


def pack_headers(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """Headers as bytes that keep them exactly, order and nulls included."""
    return json.dumps([[n, None if v is None else base64.b64encode(v).decode()] for n, v in headers]).encode()


def unpack_headers(packed: bytes) -> tuple[tuple[str, bytes | None], ...]:
    """Undo pack_headers."""
    return tuple((n, None if v is None else base64.b64decode(v)) for n, v in json.loads(packed))


def event_id_of(record: RawRecord) -> str | None:
    """The `ce_id` of a record that may be broken otherwise; None if it has none that can be read."""
    raw = dict(record.headers).get("ce_id")
    return printable(raw, LONGEST_ID) if raw else None


def printable_key(key: bytes | None) -> str:
    """A record's key as text that fits every column and topic; empty if it has none."""
    return "" if key is None else printable(key, LONGEST_KEY)


def printable(raw: bytes, longest: int) -> str:
    """Bytes from outside as text that PostgreSQL stores: the unprintable escaped, the long cut and ended by a hash."""
    text = raw[: longest * 4].decode("utf-8", "backslashreplace")
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(safe) <= longest and len(raw) <= longest * 4:
        return safe
    return f"{safe[:longest]}…sha256:{sha256(raw).hexdigest()}"
