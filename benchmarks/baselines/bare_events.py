"""The limit of events: a producer that reads rows by a cursor, and readers that write inbox, effect and outbox at once.

With the guarantees of an outbox and an inbox: acknowledged by all, in order per key, offsets committed after the
database.
"""

import asyncio
import uuid
from functools import partial

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.baselines.batches import Record, producer_of_batches, send_all

SCHEMA = """
CREATE TABLE bare_outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid, key text, payload bytea);
CREATE TABLE bare_sent (LIKE bare_outbox INCLUDING ALL);
CREATE TABLE bare_inbox (reader text, event_id uuid, PRIMARY KEY (reader, event_id));
CREATE TABLE bare_effect (reader text, event_id uuid, key text, payload jsonb, PRIMARY KEY (reader, event_id));
"""
FILL = """
INSERT INTO bare_outbox (event_id, key, payload)
SELECT uuidv7(), 'key-' || n / 8, convert_to('{"n": ' || n || ', "text": "' || repeat('x', 600) || '"}', 'UTF8')
FROM generate_series(1, $1::int) AS n
"""
TAKE = """
WITH event AS (
    SELECT * FROM unnest($2::uuid[], $3::text[], $4::text[]) AS e (event_id, key, payload)
), fresh AS (
    INSERT INTO bare_inbox (reader, event_id) SELECT $1, event_id FROM event ORDER BY event_id
    ON CONFLICT DO NOTHING RETURNING event_id
), effect AS (
    INSERT INTO bare_effect (reader, event_id, key, payload)
    SELECT $1, event_id, key, payload::jsonb FROM event JOIN fresh USING (event_id)
)
INSERT INTO bare_sent (event_id, key, payload)
SELECT event_id, key, convert_to(payload, 'UTF8') FROM event JOIN fresh USING (event_id) WHERE $5
"""
BATCH = 500


async def make_topic(kafka: str, topic: str, partitions: int = 12) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    await admin.close()
    await asyncio.sleep(1)  # until it has leaders


async def relay(dsn: str, kafka: str, topic: str) -> None:
    """Send every row of the outbox, then delete them."""
    connection = await asyncpg.connect(dsn)
    producer = producer_of_batches(kafka)
    await producer.start()
    async with connection.transaction():
        cursor = await connection.cursor("SELECT event_id, key, payload FROM bare_outbox ORDER BY id")
        await send_all(producer, cursor, partial(record_of, topic))
        await connection.execute("DELETE FROM bare_outbox")
    await producer.stop()
    await connection.close()


def record_of(topic: str, row: asyncpg.Record) -> Record:
    return topic, row["key"].encode(), row["payload"], [("ce_id", row["event_id"].bytes)]


async def read(dsn: str, kafka: str, topic: str, reader: str, events: int, *, emits: bool) -> None:
    """Read so many events and write what they mean, a batch at a time; a reader that emits leaves one row for each."""
    connection = await asyncpg.connect(dsn)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, group_id=f"{reader}.{topic}", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, partition) for partition in range(12)])
    left = events
    while left:
        found = await consumer.getmany(timeout_ms=500, max_records=BATCH)
        records = [record for batch in found.values() for record in batch]
        if records:
            ids = [uuid.UUID(bytes=dict(record.headers)["ce_id"]) for record in records]
            keys = [record.key.decode() for record in records]
            payloads = [record.value.decode() for record in records]
            await connection.execute(TAKE, reader, ids, keys, payloads, emits)
            await consumer.commit()
            left -= len(records)
    await consumer.stop()
    await connection.close()
