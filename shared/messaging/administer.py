"""Owns the creation of the declared topics, so that neither broker nor client ever creates one by itself."""

import asyncio
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.events.topics import TOPICS, Topic
from shared.messaging.failures import Transient

ENOUGH_COPIES = 3
CREATED, EXISTS, UNKNOWN = 0, 36, 3
"""Error codes of the protocol: none, TOPIC_ALREADY_EXISTS, UNKNOWN_TOPIC_OR_PARTITION."""


async def create_topics(bootstrap: str, replication: int = 1, topics: Sequence[Topic] = TOPICS) -> list[str]:
    """Create the declared topics that are missing; their names. Raises Transient naming a topic that was refused.

    With three copies or more, two must have a record before it counts as sent: it outlives any one broker.
    """
    kept = {"min.insync.replicas": "2"} if replication >= ENOUGH_COPIES else {}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="releve-topics")
    await admin.start()
    try:
        wanted = [
            NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.configuration | kept)
            for topic in topics
        ]
        answer = await admin.create_topics(wanted)
        created = []
        for name, code, *message in answer.topic_errors:
            if code not in (CREATED, EXISTS):
                raise Transient(f"topic {name} was refused: error {code} {message[0] if message else ''}")
            if code == CREATED:
                created.append(name)
        await _until_led(admin, [topic.name for topic in topics])
        return created
    finally:
        await admin.close()


class TopicsMissing(Exception):
    """Declared topics are not there: nobody creates one by itself; data: their names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"missing on the broker: {', '.join(names)} (`releve topics create`)")
        self.names = tuple(names)


async def require_topics(bootstrap: str, names: Sequence[str]) -> None:
    """Clients wait in silence for a topic that is not there. Raises TopicsMissing, aiokafka.errors.KafkaError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="releve-topics")
    try:
        await admin.start()
        described = await admin.describe_topics(list(names))
    finally:
        await admin.close()
    missing = [topic["topic"] for topic in described if topic["error_code"] == UNKNOWN]
    if missing:
        raise TopicsMissing(sorted(missing))


async def _until_led(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    """A new topic has no leader for a moment; a consumer that joins then would be assigned nothing."""
    async with asyncio.timeout(30):
        while True:
            described = await admin.describe_topics(list(names))
            if all(
                topic["error_code"] == 0 and topic["partitions"] and all(p["leader"] >= 0 for p in topic["partitions"])
                for topic in described
            ):
                return
            await asyncio.sleep(0.1)
