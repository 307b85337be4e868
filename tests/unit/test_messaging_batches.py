"""What a relay hands to the client: every row, in batches of one partition each, in the order of their ids."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.batches import BATCH_BYTES, BREATHE_AFTER, batches_of, partition_of

PARTITIONS, ROOM = 12, 3
WHEN = datetime(2026, 9, 1, 12, tzinfo=UTC)


class SmallBatch:
    """Stands in for the client's batch: full after three records, and refuses what comes then."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes | None, dict[str, bytes]]] = []

    def append(self, *, timestamp: int | None, key: bytes, value: bytes | None, headers: Any) -> object | None:
        if timestamp is not None or len(self.records) == ROOM:
            return None
        self.records.append((key, value, dict(headers)))
        return self


def row(number: int, topic: str = "review.scores", payload: bytes | None = b"{}") -> Any:
    return {
        "id": number, "topic": topic, "key": f"key-{number % 40}", "event_id": f"event-{number}",
        "type": "releve.Scored.v1", "sequence": number // 40 + 1, "time": WHEN, "causation_id": "test:1",
        "traceparent": "", "payload": payload,
    }  # fmt: skip


async def packed(rows: list[Any]) -> list[tuple[str, int, SmallBatch]]:
    partitions = {each["topic"]: PARTITIONS for each in rows}
    return [
        (batch.topic, batch.partition, batch.records)  # type: ignore[misc]
        async for batch in batches_of(rows, "review", partitions, SmallBatch)  # type: ignore[arg-type]
    ]


@given(st.binary(max_size=80), st.integers(1, 50))
def test_a_key_goes_where_the_client_itself_would_send_it(key: bytes, partitions: int) -> None:
    numbers = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, numbers, numbers)


async def test_every_row_is_in_one_batch_and_each_key_in_order() -> None:
    rows = [row(number) for number in range(BREATHE_AFTER * 3 + 1)]
    ids, sequences = [], defaultdict(list)
    for _, partition, batch in await packed(rows):
        assert 0 < len(batch.records) <= ROOM
        for key, _, headers in batch.records:
            assert partition == partition_of(key, PARTITIONS)
            ids.append(headers["ce_id"].decode())
            sequences[key].append(int(headers["ce_sequence"]))
    assert sorted(ids) == sorted(each["event_id"] for each in rows)
    assert all(found == list(range(1, len(found) + 1)) for found in sequences.values())


async def test_a_key_of_two_topics_is_in_a_batch_of_each() -> None:
    found = await packed([row(1, "review.scores"), row(1, "review.dead-letters")])
    assert [topic for topic, _, _ in found] == ["review.scores", "review.dead-letters"]


async def test_a_tombstone_has_no_value() -> None:
    ((_, _, batch),) = await packed([row(1, payload=None)])
    assert [value for _, value, _ in batch.records] == [None]


async def test_a_row_larger_than_a_batch_is_a_batch_of_its_own_of_the_real_client() -> None:
    def empty() -> BatchBuilder:
        return BatchBuilder(BATCH_BYTES, 0)

    large = row(40, payload=b"x" * (BATCH_BYTES + 1))
    rows = [row(0), large, row(80)]
    partitions = {each["topic"]: PARTITIONS for each in rows}
    counts = [batch.records.record_count() async for batch in batches_of(rows, "review", partitions, empty)]
    assert counts == [1, 1, 1]


async def test_a_batch_that_refuses_its_first_row_is_an_error_and_no_silence() -> None:
    class Full(SmallBatch):
        def append(self, **_: Any) -> None:
            return None

    with pytest.raises(RuntimeError, match="event-1"):
        [batch async for batch in batches_of([row(1)], "review", {"review.scores": 1}, Full)]  # type: ignore[arg-type]
