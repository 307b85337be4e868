"""The servers that tests run on are the real ones."""

from __future__ import annotations

from email.message import EmailMessage

import aiosmtplib
from aiokafka.admin import AIOKafkaAdminClient

from shared.events.topics import TOPICS
from tests.mailbox import Mailbox


async def test_the_broker_holds_every_declared_topic_and_creates_no_other(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        assert {topic.name for topic in TOPICS} <= set(await admin.list_topics())
        await admin.describe_topics(["nobody.declared-this"])
        assert "nobody.declared-this" not in await admin.list_topics()
    finally:
        await admin.close()


async def test_a_mailbox_keeps_what_it_is_sent_and_can_refuse(mailbox: Mailbox) -> None:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "a@example.org", "b@example.org", "Reçu"
    letter.set_content("Bonjour")
    mailbox.answers.append("451 Later")
    refused = None
    try:
        await aiosmtplib.send(letter, hostname="127.0.0.1", port=mailbox.port)
    except aiosmtplib.SMTPDataError as error:
        refused = error.code
    await aiosmtplib.send(letter, hostname="127.0.0.1", port=mailbox.port)
    assert refused == 451
    assert [message["Subject"] for message in await mailbox.wait_for(1)] == ["Reçu"]
