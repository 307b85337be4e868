"""Record batches read by ourselves: as the client reads them, and where it cannot."""

import struct

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.records import pack_headers, unpack_headers
from shared.messaging.wire import batches_in
from tests.foreign import batch

PLACE = TopicPartition("intake.applications", 3)
LZ4 = 3

maybe_bytes = st.none() | st.binary(max_size=300)
headers = st.lists(st.tuples(st.text(max_size=20), maybe_bytes), max_size=4)
records = st.lists(st.tuples(maybe_bytes, maybe_bytes, headers), min_size=1, max_size=5)


@given(records, st.booleans(), st.integers(min_value=0, max_value=2**40))
def test_what_the_client_can_read_is_read_alike(given_records: list, gzipped: bool, base: int) -> None:
    raw = struct.pack(">q", base) + batch(given_records, gzipped=gzipped)[8:]
    theirs = [
        (record.offset, record.timestamp, record.key, record.value, list(record.headers))
        for record in MemoryRecords(raw).next_batch()  # type: ignore[union-attr]
    ]
    [ours] = batches_in(PLACE, raw)
    assert [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in ours.records] == theirs
    assert ours.next_offset == base + len(given_records)


@given(st.binary(max_size=30))
def test_a_name_that_is_no_text_comes_back_byte_for_byte(name: bytes) -> None:
    raw = batch([(b"k", b"v", [("first", b"1"), (name, None)])])
    [only] = next(iter(batches_in(PLACE, raw))).records
    assert [each.encode("utf-8", "surrogateescape") for each, _ in only.headers] == [b"first", name]
    assert unpack_headers(pack_headers(only.headers)) == only.headers


def test_an_answer_that_ends_in_the_middle_of_a_batch_gives_the_whole_ones() -> None:
    raw = batch([(b"k", b"v", [])])
    assert len(list(batches_in(PLACE, raw + raw[:-1]))) == 1
    assert len(list(batches_in(PLACE, raw + raw[:20]))) == 1


def test_what_kafka_writes_for_itself_is_passed_over() -> None:
    assert [each.records for each in batches_in(PLACE, changed(batch([(b"k", b"v", [])]), attributes=0x20))] == [()]


@pytest.mark.parametrize("raw", [b"\x00" * 61, batch([(b"k", b"v", [])])[:-1] + b"x"], ids=["no batch", "changed"])
def test_bytes_that_are_no_batch_or_were_changed_are_refused(raw: bytes) -> None:
    with pytest.raises(CorruptRecordException):
        list(batches_in(PLACE, raw))


def test_a_codec_that_is_not_installed_is_named() -> None:
    with pytest.raises(UnsupportedCodecError, match="3"):
        list(batches_in(PLACE, changed(batch([(b"k", b"v", [])]), attributes=LZ4)))


def changed(raw: bytes, attributes: int) -> bytes:
    """The batch with other attributes and the checksum that belongs to them."""
    body = struct.pack(">h", attributes) + raw[23:]
    return raw[:17] + struct.pack(">I", calc_crc32c(body)) + body
