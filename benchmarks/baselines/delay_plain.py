"""The plain way to relay: look every 200 ms, send one row after the other, delete it when it was acknowledged.

`PLAIN_DATABASE_URL` names a database with the table of `SCHEMA`, `PLAIN_KAFKA` the broker, `PLAIN_TOPIC` where
rows go.
"""

import asyncio
import os

import asyncpg
from aiokafka import AIOKafkaProducer

SCHEMA = """
CREATE TABLE plain_outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id text, key text, payload bytea)
"""
POLL_S = 0.2


async def relay() -> None:
    topic = os.environ["PLAIN_TOPIC"]
    connection = await asyncpg.connect(os.environ["PLAIN_DATABASE_URL"])
    producer = AIOKafkaProducer(bootstrap_servers=os.environ["PLAIN_KAFKA"], acks="all", enable_idempotence=True)
    await producer.start()
    while True:
        for row in await connection.fetch("SELECT id, event_id, key, payload FROM plain_outbox ORDER BY id LIMIT 500"):
            headers = [("ce_id", row["event_id"].encode())]
            await producer.send_and_wait(topic, row["payload"], key=row["key"].encode(), headers=headers)
            await connection.execute("DELETE FROM plain_outbox WHERE id = $1", row["id"])
        await asyncio.sleep(POLL_S)


if __name__ == "__main__":
    asyncio.run(relay())
