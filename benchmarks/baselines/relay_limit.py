"""The limit of a relay: a bare aiokafka producer reads the outbox by an asyncpg cursor, and forgets what it has sent.

The same records, headers included, with the same promises: only committed rows, in order per key, forgotten after every
acknowledgement. All of the rows that are there when it looks are one transaction and one snapshot. Nothing else: no
leader, no second try (whatever fails ends it, and what it had sent is still there), no word of what goes on.
`RELAY_SERVICE`, `RELAY_DATABASE_URL` and `RELAY_KAFKA` say what it works on, `RELAY_CHANNEL` by which NOTIFY it is
told that there is something.
"""

import asyncio
import os
from contextlib import suppress

import asyncpg
import uvloop
from aiokafka import AIOKafkaProducer

from benchmarks.baselines.batches import Record, producer_of_batches, send_all
from benchmarks.baselines.event_headers import event_headers

SERVICE, KAFKA, CHANNEL = os.environ["RELAY_SERVICE"], os.environ["RELAY_KAFKA"], os.environ["RELAY_CHANNEL"]
LOOK_EVERY_S = 0.5


async def empty(connection: asyncpg.Connection, producer: AIOKafkaProducer) -> None:
    """Send and forget every row of one snapshot."""
    # What is forgotten is what the cursor saw: at this isolation both see the same rows.
    async with connection.transaction(isolation="repeatable_read"):
        cursor = await connection.cursor("SELECT * FROM outbox ORDER BY id")
        await send_all(producer, cursor, record_of)
        await connection.execute("DELETE FROM outbox")


def record_of(row: asyncpg.Record) -> Record:
    key = row["key"].encode()
    headers = event_headers(
        SERVICE, row["event_id"], row["type"], key, row["time"], row["sequence"], row["causation_id"],
        row["traceparent"],
    )  # fmt: skip
    return row["topic"], key, row["payload"], headers


async def main() -> None:
    connection, told = await asyncpg.connect(os.environ["RELAY_DATABASE_URL"]), asyncio.Event()
    await connection.add_listener(CHANNEL, lambda *_: told.set())
    producer = producer_of_batches(KAFKA)
    await producer.start()
    while True:
        told.clear()
        await empty(connection, producer)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await told.wait()


if __name__ == "__main__":
    uvloop.run(main())
