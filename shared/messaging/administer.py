"""Owns the creation of the declared topics, so that neither broker nor client ever creates one by itself."""

import asyncio
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.events.topics import TOPICS, Topic
from shared.messaging.failures import Transient

CREATED, EXISTS = 0, 36
"""Error codes of CreateTopics: none, and TOPIC_ALREADY_EXISTS."""


async def create_topics(bootstrap: str, replication: int = 1, topics: Sequence[Topic] = TOPICS) -> list[str]:
    """Create the declared topics that are missing; their names. Raises Transient naming a topic that was refused."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="releve-topics")
    await admin.start()
    try:
        wanted = [
            NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.configuration) for topic in topics
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
