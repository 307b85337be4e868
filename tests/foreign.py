"""Owns a publisher that keeps none of our rules: any bytes anywhere, header names included; tests of poison use it."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import gzip_encode
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c, encode_varint

from shared.messaging.records import RawRecord

NOT_LEADER = 6
"""A new topic has no leader for a moment."""

Header = tuple[str | bytes, bytes | None]


def batch(records: Sequence[tuple[bytes | None, bytes | None, Sequence[Header]]], *, gzipped: bool = False) -> bytes:
    """A record batch as a client sends it; a header's name may be bytes that are no text."""
    body = bytearray()
    for number, (key, value, headers) in enumerate(records):
        record = bytearray(b"\x00\x00")  # no attributes, of the same time as the first
        encode_varint(number, record.append)
        _put(record, key)
        _put(record, value)
        encode_varint(len(headers), record.append)
        for name, content in headers:
            _put(record, name.encode() if isinstance(name, str) else name)
            _put(record, content)
        encode_varint(len(record), body.append)
        body += record
    now_ms, last = int(time.time() * 1000), len(records) - 1
    attributes, sent = (1, gzip_encode(bytes(body))) if gzipped else (0, bytes(body))
    checked = struct.pack(">hiqqqhii", attributes, last, now_ms, now_ms, -1, -1, -1, len(records)) + sent
    return struct.pack(">qiibI", 0, 9 + len(checked), -1, 2, calc_crc32c(checked)) + checked


def _put(record: bytearray, content: bytes | None) -> None:
    encode_varint(-1 if content is None else len(content), record.append)
    record += content or b""


@dataclass
class Foreign:
    """The open publisher."""

    client: AIOKafkaClient

    async def publish(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] = (),
        partition: int | None = None,
        *,
        gzipped: bool = False,
    ) -> tuple[int, int]:
        """Publish one record where its key belongs unless a partition is named; its partition and offset."""
        if partition is None:
            partitions = sorted(self.client.cluster.partitions_for_topic(topic) or ())
            partition = DefaultPartitioner()(key, partitions, partitions)
        content = batch([(key, value, headers)], gzipped=gzipped)
        asked = ProduceRequest(None, -1, 10_000, [(topic, [(partition, content)])])
        async with asyncio.timeout(30):
            while True:
                leader = self.client.cluster.leader_for_partition(TopicPartition(topic, partition))
                if leader is not None and leader >= 0:
                    answer = await self.client.send(leader, asked)
                    ((_, ((_, error, offset, *_),)),) = answer.topics
                    if error != NOT_LEADER:
                        assert error == 0, f"the broker refused it: error {error}"
                        return partition, offset
                await self.client.force_metadata_update()
                await asyncio.sleep(0.05)

    async def put(self, record: RawRecord, *, gzipped: bool = False) -> RawRecord:
        """Publish a record, its header names with the bytes that they escape; as it lies there."""
        headers = [(name.encode("utf-8", "surrogateescape"), value) for name, value in record.headers]
        partition, offset = await self.publish(record.topic, record.key, record.value, headers, gzipped=gzipped)
        return replace(record, partition=partition, offset=offset)


@asynccontextmanager
async def foreign_publisher(bootstrap: str, *topics: str) -> AsyncIterator[Foreign]:
    """A publisher for these topics."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap, client_id="foreign")
    await client.bootstrap()
    try:
        await client.set_topics(topics)
        yield Foreign(client)
    finally:
        await client.close()
