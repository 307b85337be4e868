"""Owns a service's subscriptions on Kafka: raw batches in, acknowledgement after the commit; it interprets nothing.

FastStream decodes before a handler runs and drops a whole batch over one bad record, so both hooks hide the bytes from
it; records come by `fetching.py`, which no bytes hold up, and are read in `records.py`, where one that is broken stops
only its own key.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import ConsumerStoppedError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka import Topic as KafkaTopic

from shared.config import Settings
from shared.crashpoints import crash_point
from shared.health import Progress
from shared.messaging.administer import TopicsMissing, require_topics
from shared.messaging.consume import Consumer
from shared.messaging.failures import reason_of
from shared.messaging.fetching import next_records
from shared.messaging.gathering import Gathering
from shared.messaging.records import RawRecord

log = structlog.get_logger()

START_WITHIN_S = 30
STOP_WITHIN_S = 5


class Subscriber:
    """The Kafka side of a service's consumers. `run` returns only when it is cancelled."""

    def __init__(self, consumers: Sequence[Consumer], settings: Settings, service: str) -> None:
        self.progress = Progress(f"kafka {service}")
        self.progress.failed("not connected yet")
        self._consumers = consumers
        self._settings = settings
        self._service = service
        self._stopped_by = "by itself"

    async def run(self) -> None:
        """Connect, consume, and connect again after every failure with growing pauses."""
        pause = self._settings.retry_first_s
        while True:
            broker = self._broker()
            starting = asyncio.ensure_future(self._start(broker))
            began = time.monotonic()
            try:
                async with asyncio.timeout(START_WITHIN_S):
                    await asyncio.shield(starting)
                self.progress.succeeded()
                await self._until_one_stops(broker)
            except Exception as failure:  # noqa: BLE001 - a subscriber never gives up; readiness tells why it waits
                if time.monotonic() - began > self._settings.retry_longest_s:
                    pause = self._settings.retry_first_s
                self.progress.failed(reason_of(failure), ours=isinstance(failure, TopicsMissing))
                log.warning("kafka.again", reason=reason_of(failure), pause_s=round(pause, 2))
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.retry_longest_s)
            finally:
                await _stop(broker, starting)

    async def _start(self, broker: KafkaBroker) -> None:
        await require_topics(self._settings.kafka_bootstrap_servers, [each.topic for each in self._consumers])
        await broker.start()

    def _broker(self) -> KafkaBroker:
        broker = KafkaBroker(
            # FastStream takes a text for one address, whatever commas it has.
            [address.strip() for address in self._settings.kafka_bootstrap_servers.split(",")],
            client_id=f"releve-{self._service}",
            graceful_timeout=self._settings.graceful_s,
            logger=None,
        )
        for consumer in self._consumers:
            self._subscribe(broker, consumer)
        return broker

    def _subscribe(self, broker: KafkaBroker, consumer: Consumer) -> None:
        subscriber = broker.subscriber(
            KafkaTopic(consumer.topic, declare=False),
            batch=True,
            group_id=consumer.name,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            parser=_hidden,
            decoder=_undecoded,
            session_timeout_ms=int(self._settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(self._settings.session_timeout_s * 300),
        )
        # FastStream sleeps after each empty poll: short polls cost a tenth of a core per idle service, long ones delay
        # every event. The client's own poll ends as soon as a record comes, so it may be long and nothing waits.
        gathering = Gathering(self._settings.gather_s, self._settings.gather_longest_s)

        async def next_batch(client: "AIOKafkaConsumer[Any, Any]") -> tuple["ConsumerRecord[Any, Any]", ...]:
            await asyncio.sleep(gathering.wait_s)
            batch = await self._next_batch(consumer, client)
            gathering.had(len(batch), self._settings.batch_records)
            return batch

        subscriber.get_msg = next_batch  # type: ignore[method-assign, assignment]

        @subscriber
        async def take(message: KafkaMessage) -> None:
            records: Sequence[ConsumerRecord[bytes, bytes]] = message.raw_message
            await consumer.take([as_raw(record) for record in records])
            crash_point("consume.before_ack")
            try:
                await message.ack()
            except Exception as failure:  # noqa: BLE001 - after a rebalance; the batch comes again, the inbox knows it
                log.info("kafka.late_ack", consumer=consumer.name, reason=reason_of(failure))

    async def _next_batch(
        self, consumer: Consumer, client: "AIOKafkaConsumer[Any, Any]"
    ) -> tuple["ConsumerRecord[Any, Any]", ...]:
        settings = self._settings
        try:
            records = await next_records(
                client, settings.kafka_bootstrap_servers,
                timeout_ms=settings.poll_ms, max_records=settings.batch_records,
            )  # fmt: skip
        except Exception as failure:
            # What the poll had taken of other partitions is gone, and their places are past it: FastStream would go on
            # from there, and the next acknowledgement lose it. Only this exception ends its loop for good.
            self._stopped_by = reason_of(failure)
            raise ConsumerStoppedError from failure
        # One whose every poll fails is begun again and again, and would look alive by that alone.
        consumer.progress.succeeded()
        return tuple(records)

    async def _until_one_stops(self, broker: KafkaBroker) -> None:
        while all(_lives(subscriber) for subscriber in broker.subscribers):
            self.progress.succeeded()
            await asyncio.sleep(1)
        raise ConnectionError(f"a subscriber stopped: {self._stopped_by}")


def _lives(subscriber: Any) -> bool:
    """A subscriber's loop may end and leave `running` as it was."""
    return bool(subscriber.running) and all(not task.done() for task in subscriber.tasks)


async def _hidden(records: tuple[ConsumerRecord[Any, Any], ...], original: Any) -> KafkaMessage:
    message: KafkaMessage = await original((replace(records[0], headers=(), value=b""),))
    message.raw_message = records
    return message


async def _undecoded(_: KafkaMessage) -> None:
    return None


def as_raw(record: "ConsumerRecord[Any, Any]") -> RawRecord:
    """A record of aiokafka as this project's own value."""
    return RawRecord(
        record.topic, record.partition, record.offset, record.key, record.value,
        tuple(record.headers), record.timestamp,
    )  # fmt: skip


async def _stop(broker: KafkaBroker, starting: "asyncio.Future[None]") -> None:
    # A broker that is cut off while it starts leaves its connections behind.
    await asyncio.wait([starting], timeout=STOP_WITHIN_S)
    starting.cancel()
    try:
        await broker.stop()
    except Exception as failure:  # noqa: BLE001 - its consumers leave by time-out instead
        log.info("kafka.stopped_roughly", reason=reason_of(failure))
