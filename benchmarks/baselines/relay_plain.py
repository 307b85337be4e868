"""The plain way of a relay: select some rows, then send and forget them one by one.

`RELAY_SERVICE`, `RELAY_DATABASE_URL` and `RELAY_KAFKA` say what it works on.
"""

import asyncio
import os

import asyncpg
import uvloop
from aiokafka import AIOKafkaProducer

from benchmarks.baselines.event_headers import event_headers

SERVICE, KAFKA = os.environ["RELAY_SERVICE"], os.environ["RELAY_KAFKA"]
LOOK_EVERY_S = 0.05


async def main() -> None:
    connection = await asyncpg.connect(os.environ["RELAY_DATABASE_URL"])
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, enable_idempotence=True, acks="all")
    await producer.start()
    while True:
        for row in await connection.fetch("SELECT * FROM outbox ORDER BY id LIMIT 100"):
            key = row["key"].encode()
            headers = event_headers(
                SERVICE, row["event_id"], row["type"], key, row["time"], row["sequence"], row["causation_id"],
                row["traceparent"],
            )  # fmt: skip
            await producer.send_and_wait(row["topic"], row["payload"], key=key, headers=headers)
            await connection.execute("DELETE FROM outbox WHERE id = $1", row["id"])
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
            await asyncio.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    uvloop.run(main())
