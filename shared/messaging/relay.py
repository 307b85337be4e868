"""Owns the way from the outbox to Kafka: every row once it is committed, in order per key; nothing else publishes.

One relay is active per database. Rows are sent in id order on an idempotent producer and deleted when all were
acknowledged; after any error the producer is thrown away and the same rows are sent again (their `ce_id` is the same).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer

from shared.config import Settings
from shared.crashpoints import crash_point
from shared.db import Database
from shared.events.topics import TOPICS
from shared.health import Progress
from shared.messaging.administer import TopicsMissing, require_topics
from shared.messaging.batches import BATCH_BYTES, batches_of
from shared.messaging.failures import reason_of
from shared.messaging.gathering import Gathering
from shared.messaging.leader import leadership
from shared.messaging.wake import woken
from shared.telemetry import EVENTS_RELAYED, OUTBOX_UNSENT, RETRIES

log = structlog.get_logger()

SELECT = """
SELECT id, topic, key, event_id, type, sequence, time, causation_id, traceparent, payload
FROM outbox ORDER BY id LIMIT $1
"""


class Relay:
    """The relay of one service. `run` returns only when it is cancelled."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.progress = Progress(f"relay {db.service}")
        self._db = db
        self._settings = settings
        self._gathering = Gathering(settings.gather_s, settings.gather_longest_s)
        self._producer: AIOKafkaProducer | None = None

    async def run(self) -> None:
        """Lead, relay, and begin again after every failure with growing pauses."""
        pause = self._settings.retry_first_s
        while True:
            try:
                async with leadership(self._db, "relay", self.progress) as connection, woken(self._db, connection):
                    while True:
                        await self._round(connection)
                        pause = self._settings.retry_first_s
            except asyncio.CancelledError:
                await self._discard_producer()
                raise
            except Exception as failure:  # noqa: BLE001 - a relay never gives up; readiness tells why it waits
                self.progress.failed(reason_of(failure), ours=isinstance(failure, TopicsMissing))
                RETRIES.labels(self.progress.name).inc()
                log.warning("relay.again", reason=reason_of(failure), pause_s=round(pause, 2))
                await self._discard_producer()
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.retry_longest_s)

    async def _round(self, connection: asyncpg.Connection) -> None:
        self._db.outbox_written.clear()
        rows = await connection.fetch(SELECT, self._settings.relay_rows)
        OUTBOX_UNSENT.labels(self._db.service).set(len(rows))
        if rows:
            crash_point("relay.before_send")
            await self._send(rows)
            crash_point("relay.sent")
            await connection.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", [row["id"] for row in rows])
            crash_point("relay.deleted")
            EVENTS_RELAYED.labels(self._db.service).inc(len(rows))
        self.progress.succeeded()
        self._gathering.had(len(rows), self._settings.relay_rows)
        await asyncio.sleep(self._gathering.wait_s)
        if len(rows) < self._settings.relay_rows:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.relay_poll_s):
                    await self._db.outbox_written.wait()

    async def _send(self, rows: Sequence[asyncpg.Record]) -> None:
        producer = await self._started_producer()
        async with asyncio.timeout(self._settings.send_timeout_s):
            topics = {row["topic"] for row in rows}
            partitions = {topic: len(await producer.partitions_for(topic)) for topic in topics}
            sent = [
                await producer.send_batch(batch.records, batch.topic, partition=batch.partition)
                async for batch in batches_of(rows, self._db.service, partitions, producer.create_batch)
            ]
            results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            own = [topic.name for topic in TOPICS if topic.emitter == self._db.service]
            await require_topics(self._settings.kafka_bootstrap_servers, own)
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.kafka_bootstrap_servers,
                client_id=f"releve-{self._db.service}-relay",
                enable_idempotence=True,
                acks="all",
                max_batch_size=BATCH_BYTES,
                request_timeout_ms=int(self._settings.send_timeout_s * 1000),
            )
            try:
                await producer.start()
            except BaseException:
                await _stop(producer)
                raise
            self._producer = producer
        return self._producer

    async def _discard_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    # A producer whose broker is away waits for it in stop(); its rows are still in the outbox.
    try:
        async with asyncio.timeout(5):
            await producer.stop()
    except Exception as failure:  # noqa: BLE001 - it is thrown away whatever it says
        log.info("relay.producer_discarded", reason=reason_of(failure))
