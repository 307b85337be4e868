"""Owns the reading of record batches as Kafka sends them (message format 2), header names included that are no text.

Kafka lets any bytes be a header's name; the client raises on those that are not UTF-8 and gives nothing of the batch.
Here they come as text with the bytes escaped (PEP 383), from which every byte can be had back.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.codec import gzip_decode, has_lz4, has_snappy, has_zstd, lz4_decode, snappy_decode, zstd_decode
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.util import calc_crc32c, decode_varint

# Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and last time, producer's id and
# epoch and sequence, number of records: https://kafka.apache.org/documentation/#recordbatch
HEADER = struct.Struct(">qiibIhiqqqhii")
BEFORE_LENGTH_ENDS = 12
CHECKED_FROM = 21
"""The CRC is of everything from the attributes on."""
FORMAT = 2
CODEC, LOG_APPEND_TIME, CONTROL = 0x07, 0x08, 0x20
CODECS: dict[int, tuple[Callable[[], bool], Callable[[bytes], bytes]]] = {
    1: (lambda: True, gzip_decode), 2: (has_snappy, snappy_decode), 3: (has_lz4, lz4_decode), 4: (has_zstd, zstd_decode)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch: its records (none of those that Kafka writes for itself), and the offset after it."""

    records: tuple["ConsumerRecord[bytes, bytes]", ...]
    next_offset: int


def batches_in(place: TopicPartition, fetched: bytes) -> Iterator[Batch]:
    """The whole batches of a fetched answer, which may end in the middle of one.

    Raises CorruptRecordException, UnsupportedCodecError.
    """
    at = 0
    while len(fetched) - at >= HEADER.size:
        base, length = struct.unpack_from(">qi", fetched, at)
        end = at + BEFORE_LENGTH_ENDS + length
        if end - at < HEADER.size:
            raise CorruptRecordException(f"a batch too short on {place.topic}[{place.partition}]@{base}")
        if end > len(fetched):
            return
        yield _batch(place, fetched[at:end])
        at = end


def _batch(place: TopicPartition, raw: bytes) -> Batch:
    base, _, _, magic, crc, attributes, last_delta, first_ms, last_ms, _, _, _, count = HEADER.unpack_from(raw)
    if magic != FORMAT:
        raise CorruptRecordException(f"a batch of format {magic} on {place.topic}[{place.partition}]@{base}")
    if calc_crc32c(raw[CHECKED_FROM:]) != crc:
        raise CorruptRecordException(f"a wrong checksum on {place.topic}[{place.partition}]@{base}")
    following = base + last_delta + 1
    if attributes & CONTROL:
        return Batch((), following)
    body = _uncompressed(raw[HEADER.size :], attributes & CODEC)
    appended_ms = last_ms if attributes & LOG_APPEND_TIME else None
    cursor = _Cursor(bytearray(body))
    try:
        records = tuple(_record(place, cursor, base, first_ms, appended_ms) for _ in range(count))
    except IndexError:
        raise CorruptRecordException(f"a cut batch on {place.topic}[{place.partition}]@{base}") from None
    return Batch(records, following)


def _uncompressed(body: bytes, codec: int) -> bytes:
    if codec == 0:
        return body
    known, decode = CODECS.get(codec, (lambda: False, gzip_decode))
    if not known():
        raise UnsupportedCodecError(f"compression codec {codec}")
    return bytes(decode(body))


class _Cursor:
    """A place in the records of a batch."""

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer
        self._at = 0

    def number(self) -> int:
        value: int
        value, self._at = decode_varint(self._buffer, self._at)
        return value

    def some(self) -> bytes | None:
        """Bytes with their length before them, or null."""
        length = self.number()
        if length < 0:
            return None
        start, self._at = self._at, self._at + length
        if self._at > len(self._buffer):
            raise IndexError
        return bytes(self._buffer[start : self._at])


def _record(
    place: TopicPartition, cursor: _Cursor, base: int, first_ms: int, appended_ms: int | None
) -> "ConsumerRecord[bytes, bytes]":
    cursor.number()  # its length
    cursor.number()  # attributes, of which there are none yet
    created_ms, offset = first_ms + cursor.number(), base + cursor.number()
    key, value = cursor.some(), cursor.some()
    headers = tuple(
        ((cursor.some() or b"").decode("utf-8", "surrogateescape"), cursor.some()) for _ in range(cursor.number())
    )
    return ConsumerRecord(
        place.topic, place.partition, offset, created_ms if appended_ms is None else appended_ms,
        0 if appended_ms is None else 1, key, value, None, _size(key), _size(value), headers,
    )  # fmt: skip


def _size(given: bytes | None) -> int:
    return -1 if given is None else len(given)
