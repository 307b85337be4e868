"""Owns one row of the index: a record as it lies on its topic, and what it says if that can be read; no SQL."""

from dataclasses import dataclass
from datetime import datetime

from shared.events.intake import ApplicationSubmitted
from shared.history import Erased, Recorded, Unreadable, instant_of, recorded_of
from shared.messaging.records import RawRecord

NUL = "\x00"
LONGEST_HEADER = 1000
"""Characters of a header value that are kept."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record in the index. `problem` says why it cannot be read; then its value is not kept."""

    topic: str
    partition: int
    offset: int
    key: str
    type: str
    event_id: str
    sequence: int | None
    causation_id: str
    time: datetime | None
    recorded_at: datetime
    call_id: str | None
    reference: str | None
    problem: str | None
    headers: str
    payload: str | None


def entry_of(raw: RawRecord) -> Entry:
    """The index entry of a record; never raises, whatever its bytes are."""
    read = recorded_of(raw)
    headers = readable_headers(raw)
    if isinstance(read, Recorded):
        return _readable(raw, read, headers)
    if isinstance(read, Erased):
        return _stub(raw, headers, "an erasure of personal data, which ops does not index")
    return _unreadable(raw, read, headers)


def _readable(raw: RawRecord, read: Recorded, headers: dict[str, str]) -> Entry:
    event = read.event
    return Entry(
        raw.topic, raw.partition, raw.offset, text_of(read.key), read.type, read.event_id, read.sequence,
        text_of(read.causation_id), read.time, read.recorded_at, getattr(event, "call_id", None),
        text_of(event.reference) if isinstance(event, ApplicationSubmitted) else None, None, _written(headers),
        text_of(raw.value or b""),
    )  # fmt: skip


def _unreadable(raw: RawRecord, read: Unreadable, headers: dict[str, str]) -> Entry:
    return Entry(
        raw.topic, raw.partition, raw.offset, text_of(raw.key or b""), headers.get("ce_type", ""),
        headers.get("ce_id", ""), None, headers.get("ce_causationid", ""), None, read.recorded_at, None, None,
        text_of(read.reason), _written(headers), None,
    )  # fmt: skip


def _stub(raw: RawRecord, headers: dict[str, str], problem: str) -> Entry:
    return Entry(
        raw.topic, raw.partition, raw.offset, text_of(raw.key or b""), "", "", None, "", None,
        instant_of(raw.timestamp_ms), None, None, problem, _written(headers), None,
    )  # fmt: skip


def readable_headers(raw: RawRecord) -> dict[str, str]:
    """The headers as text, for people; of a name that stands twice the last."""
    return {text_of(name): text_of(value or b"")[:LONGEST_HEADER] for name, value in raw.headers}


def text_of(value: bytes | str) -> str:
    """Text that PostgreSQL can hold: bytes that are not UTF-8, and NUL, stand escaped."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    # A header name may hold what UTF-8 cannot say again: half of a surrogate pair.
    return text.encode("utf-8", "backslashreplace").decode().replace(NUL, "\\x00")


def _written(headers: dict[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers.items())
