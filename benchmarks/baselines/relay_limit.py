"""The limit of a relay: a bare aiokafka producer reads the outbox by an asyncpg cursor, and forgets what it has sent.

The same records, headers included, with the same promises: only committed rows, in order per key, forgotten after every
acknowledgement. All of the rows that are there when it looks are one transaction and one snapshot. Nothing else: no
leader, no second try (whatever fails ends it, and what it had sent is still there), no word of what goes on.
`RELAY_SERVICE`, `RELAY_DATABASE_URL` and `RELAY_KAFKA` say what it works on.
"""

import asyncio
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

SERVICE, KAFKA = os.environ["RELAY_SERVICE"], os.environ["RELAY_KAFKA"]
PIECE, BATCH_BYTES = 2000, 256 * 1024
LOOK_EVERY_S = 0.05


async def empty(connection: asyncpg.Connection, producer: AIOKafkaProducer) -> None:
    """Send and forget every row of one snapshot; the next piece is read while the last one is under way."""
    # What is forgotten is what the cursor saw: at this isolation both see the same rows.
    async with connection.transaction(isolation="repeatable_read"):
        cursor = await connection.cursor("SELECT * FROM outbox ORDER BY id")
        before: Sequence[asyncio.Future[Any]] = ()
        while rows := await cursor.fetch(PIECE):
            sent = await send(producer, rows)
            await asyncio.gather(*before)
            before = sent
        await asyncio.gather(*before)
        await connection.execute("DELETE FROM outbox")


async def send(producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> Sequence[asyncio.Future[Any]]:
    """In whole batches, each of one partition: the client's `send` costs as much again for each record."""
    sent, begun = [], {}
    partitions = {topic: len(await producer.partitions_for(topic)) for topic in {row["topic"] for row in rows}}
    for row in rows:
        topic, key = row["topic"], row["key"].encode()
        place = topic, partition_of(key, partitions[topic])
        record = {"key": key, "value": row["payload"], "timestamp": None, "headers": told(row)}
        if place not in begun:
            begun[place] = producer.create_batch()
        if begun[place].append(**record) is None:
            sent.append(await producer.send_batch(begun[place], topic, partition=place[1]))
            begun[place] = producer.create_batch()
            begun[place].append(**record)
    return sent + [
        await producer.send_batch(batch, topic, partition=number) for (topic, number), batch in begun.items()
    ]


@cache
def partition_of(key: bytes, partitions: int) -> int:
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def told(row: asyncpg.Record) -> list[tuple[str, bytes]]:
    return [
        *of_type(row["type"]),
        ("ce_id", str(row["event_id"]).encode()),
        ("ce_subject", row["key"].encode()),
        ("ce_time", row["time"].isoformat().encode()),
        ("ce_sequence", b"%d" % row["sequence"]),
        ("ce_causationid", row["causation_id"].encode()),
        ("traceparent", row["traceparent"].encode()),
    ]


@cache
def of_type(kind: str) -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", f"/services/{SERVICE}".encode()),
        ("ce_dataschema", f"/schemas/{kind}.json".encode()),
        ("content-type", b"application/json"),
    ]


async def main() -> None:
    connection = await asyncpg.connect(os.environ["RELAY_DATABASE_URL"])
    producer = AIOKafkaProducer(
        bootstrap_servers=KAFKA, enable_idempotence=True, acks="all", max_batch_size=BATCH_BYTES
    )
    await producer.start()
    while True:
        await empty(connection, producer)
        partition_of.cache_clear()
        await asyncio.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    uvloop.run(main())
