"""Owns the shape of a recorded past: each event with its place and envelope; it reads nothing by itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from shared.events.base import EVENT_TYPES, Event
from shared.events.topics import BY_NAME
from shared.messaging.failures import Malformed, UnknownType
from shared.messaging.records import Delivery, RawRecord, event_id_of, printable_key, read_record

E = TypeVar("E", bound=Event)

WHOLE_TYPE = re.compile(r"releve\.[A-Za-z]+\.v[0-9]+")
SHORT_NAME_AT = 1
"""`releve.GrantAwarded.v1` is called GrantAwarded."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event as it was recorded. `time` is business time (`ce_time`), `recorded_at` the broker's; both UTC."""

    topic: str
    partition: int
    offset: int
    key: str
    event_id: str
    type: str
    sequence: int
    causation_id: str
    time: datetime
    recorded_at: datetime
    event: Event

    @property
    def place(self) -> str:
        """Where it lies, for people: `review.scores[3]@1207`."""
        return f"{self.topic}[{self.partition}]@{self.offset}"

    @property
    def name(self) -> str:
        """The type without prefix and version: `GrantAwarded`."""
        return short_name(self.type)

    @property
    def emitter(self) -> str:
        """The service that said it: `review`."""
        return self.topic.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Erased:
    """A tombstone: what the key named was to be forgotten."""

    topic: str
    partition: int
    offset: int
    key: str
    event_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is no event of the declared language, and why; its bytes are not quoted."""

    topic: str
    partition: int
    offset: int
    key: str
    event_id: str | None
    reason: str
    recorded_at: datetime

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True)
class History:
    """Everything recorded. An event that was published twice stands once, at its first place."""

    events: tuple[Recorded, ...]
    erased: tuple[Erased, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    copies: tuple[Recorded, ...] = ()
    """Second and later copies of events: at-least-once publication makes some, and they mean nothing."""
    _by_type: dict[type[Event], list[Recorded]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for recorded in self.events:
            self._by_type.setdefault(type(recorded.event), []).append(recorded)

    @classmethod
    def of(cls, records: Iterable[Recorded | Erased | Unreadable]) -> History:
        """A history of records in any order; it is kept by topic, partition and offset."""
        in_place = sorted(records, key=lambda record: (record.topic, record.partition, record.offset))
        events = [record for record in in_place if isinstance(record, Recorded)]
        first = {record.event_id: record for record in reversed(events)}
        return cls(
            tuple(record for record in events if first[record.event_id] is record),
            tuple(record for record in in_place if isinstance(record, Erased)),
            tuple(record for record in in_place if isinstance(record, Unreadable)),
            tuple(record for record in events if first[record.event_id] is not record),
        )

    def all(self, event_type: type[E]) -> Iterator[tuple[Recorded, E]]:
        """Every event of a type with its place, by topic, partition and offset."""
        for recorded in self._by_type.get(event_type, ()):
            assert isinstance(recorded.event, event_type)  # noqa: S101 - the index is by exact type
            yield recorded, recorded.event

    def of_call(self, call_id: str) -> History:
        """What concerns one call. Commands and dead letters name no call and belong to every one."""
        return History(
            tuple(r for r in self.events if getattr(r.event, "call_id", call_id) == call_id),
            self.erased,
            self.unreadable,
            self.copies,
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many events of each type, by short name."""
        return dict(sorted(Counter(recorded.name for recorded in self.events).items()))


def short_name(event_type: str) -> str:
    """`GrantAwarded` of `releve.GrantAwarded.v1`; other texts as they are."""
    parts = event_type.split(".")
    return parts[SHORT_NAME_AT] if len(parts) > SHORT_NAME_AT else event_type


def event_names() -> list[str]:
    """The short names of all declared events."""
    return sorted({short_name(each) for each in EVENT_TYPES})


def may_be_recorded(name: str) -> bool:
    """Whether an event may lie under this name: a declared one, or the whole `ce_type` of a program to come."""
    known = {each.casefold() for each in event_names()}
    return short_name(name).casefold() in known or WHOLE_TYPE.fullmatch(name) is not None


def recorded_of(raw: RawRecord) -> Recorded | Erased | Unreadable:
    """What a raw record is. Never raises: what cannot be read is a value too."""
    recorded_at = instant_of(raw.timestamp_ms)
    try:
        received = read_record(raw)
        headers = {name: (value or b"").decode() for name, value in raw.headers}
        if not isinstance(received, Delivery):
            _may_erase(raw.topic)
            return Erased(raw.topic, raw.partition, raw.offset, received.key, received.event_id, received.sequence)
        return Recorded(
            raw.topic,
            raw.partition,
            raw.offset,
            received.key,
            received.event_id,
            received.event.type_name(),
            received.sequence,
            headers.get("ce_causationid", ""),
            _time(headers.get("ce_time", "")),
            recorded_at,
            received.event,
        )
    except (Malformed, UnknownType) as broken:
        key, event_id = printable_key(raw.key), event_id_of(raw)
        return Unreadable(raw.topic, raw.partition, raw.offset, key, event_id, str(broken), recorded_at)


def _may_erase(topic: str) -> None:
    if topic not in BY_NAME or BY_NAME[topic].cleanup != "compact":
        raise Malformed("a tombstone on a topic that has none")


def _time(value: str) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise Malformed("header ce_time is not a time") from None
    if time.tzinfo is None:
        raise Malformed("header ce_time has no time zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise Malformed("header ce_time is at the end of time") from None


def instant_of(timestamp_ms: int) -> datetime:
    """A record's timestamp in UTC; whoever sent it chose it, so what is no instant is told as the first of all."""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.min.replace(tzinfo=UTC)
