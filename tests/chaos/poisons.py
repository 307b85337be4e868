"""Records that are no events of the declared language: broken ones, and those of a program to come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shared.ids import new_id
from shared.messaging.records import RawRecord
from tests.messaging_bench import Tape, withdrawn

NO_TEXT = b"\xff\xfe"


def with_header(record: RawRecord, name: str, value: bytes | None) -> RawRecord:
    others = [header for header in record.headers if header[0] != name]
    return replace(record, headers=(*others, (name, value)))


def escaped(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


Spoil = Callable[[RawRecord], RawRecord]
POISON: dict[str, Spoil] = {
    "bytes that are not UTF-8": lambda record: replace(record, value=b"\xff\xff\x00"),
    "bad JSON": lambda record: replace(record, value=b'{"occurred_at": '),
    "a wrong schema": lambda record: replace(record, value=b'{"application_id": 7}'),
    "a tombstone where none belongs": lambda record: replace(record, value=None),
    "a null header value": lambda record: with_header(record, "ce_id", None),
    "a header value that is not UTF-8": lambda record: with_header(record, "ce_type", NO_TEXT),
    "a header name that is not UTF-8": lambda record: replace(record, headers=((escaped(NO_TEXT), b"1"),)),
    "no headers at all": lambda record: replace(record, headers=()),
    "another key than the event's": lambda record: replace(record, value=whole(new_id()).value),
}
FUTURE: dict[str, Spoil] = {
    "a future type": lambda record: with_header(record, "ce_type", b"releve.ApplicationPraised.v1"),
    "a future version": lambda record: with_header(record, "ce_type", b"releve.ApplicationWithdrawn.v2"),
}


def whole(key: str, note: str = "poison") -> RawRecord:
    return Tape().record(withdrawn(key, note))
