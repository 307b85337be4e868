"""The parts that a local system is made of, each as a real process."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import asyncpg
import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet

from cli.tokens import staff_token
from deploy.local.choice import Need
from deploy.local.dependencies import LocalDependencies
from deploy.local.ports import choose_ports
from deploy.local.postgres import Tenancy, provide
from deploy.local.process import Recorded
from deploy.local.state import StateFolder
from deploy.local.supervise import Supervisor
from tests.databases import PASSWORD, Databases
from tests.servers import Servers
from tests.waiting import until


@pytest_asyncio.fixture(loop_scope="session")
async def state(tmp_path: Path) -> StateFolder:
    folder = StateFolder.at(tmp_path)
    folder.prepare()
    return folder


@pytest_asyncio.fixture(loop_scope="session")
async def supervisor(state: StateFolder) -> AsyncIterator[Supervisor]:
    running = Supervisor(state.write_processes, lambda _: None)
    yield running
    await running.stop()


async def test_the_issuer_signs_staff_in_with_their_roles_and_keeps_its_key(
    state: StateFolder, supervisor: Supervisor
) -> None:
    dependencies = LocalDependencies(state, supervisor, choose_ports(["issuer"]))
    issuer = str((await dependencies.start([Need.IDENTITY]))["issuer"])
    token = await asyncio.to_thread(staff_token, issuer, "officer-2")
    made_up = await asyncio.to_thread(staff_token, issuer, "alice", ["chair"])
    keys = await _keys(issuer)
    claims = jwt.decode(token, keys).claims
    assert (claims["iss"], claims["sub"], claims["roles"]) == (issuer, "officer-2", ["officer"])
    assert "releve" in claims["aud"]
    assert jwt.decode(made_up, keys).claims["roles"] == ["chair"]

    await supervisor.stop()
    await dependencies.start([Need.IDENTITY])
    again = await _keys(issuer)
    assert jwt.decode(token, again).claims["sub"] == "officer-2"


async def _keys(issuer: str) -> KeySet:
    async with httpx.AsyncClient() as client:
        return KeySet.import_key_set((await client.get(f"{issuer}/jwks")).json())


async def test_the_mail_catcher_keeps_each_message_as_one_whole_file(
    state: StateFolder, supervisor: Supervisor
) -> None:
    ports = choose_ports(["mail"])
    await LocalDependencies(state, supervisor, ports).start([Need.MAIL])
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Message-ID"] = "releve@example.org", "ada@example.org", "<1@releve>"
    letter["Subject"] = "Accusé de réception"
    letter.set_content("Bonjour,\nvotre dossier est déposé.\n")
    for _ in range(2):
        await aiosmtplib.send(letter, hostname="127.0.0.1", port=ports["mail"])
    await until(lambda: len(list(state.mail.glob("*.eml"))) == 2)
    kept = [email.message_from_bytes(path.read_bytes()) for path in state.mail.glob("*.eml")]
    assert {(message["X-Envelope-To"], message["Message-ID"]) for message in kept} == {
        ("ada@example.org", "<1@releve>")
    }
    assert list(state.mail.glob(".*")) == []


async def test_no_service_can_connect_to_the_database_of_another(servers: Servers, databases: Databases) -> None:
    owned = [Tenancy("intake", PASSWORD), Tenancy("review", PASSWORD)]
    await provide(servers.postgres, owned)
    await provide(servers.postgres, owned)
    for other, own in (owned, owned[::-1]):
        url = servers.postgres.url(other.database, own.runtime_role, PASSWORD)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(url)
    connection = await asyncpg.connect(servers.postgres.url("releve_intake", "releve_intake", PASSWORD))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CREATE TABLE mine ()")
    await connection.close()


async def test_a_broker_killed_outright_comes_back_with_what_it_held(
    state: StateFolder, supervisor: Supervisor
) -> None:
    from aiokafka import AIOKafkaProducer, TopicPartition
    from aiokafka.consumer import AIOKafkaConsumer

    from deploy.local.kafka import answers
    from shared.messaging.administer import create_topics

    ports = choose_ports(["kafka", "kafka-controller"])
    bootstrap = str((await LocalDependencies(state, supervisor, ports).start([Need.KAFKA]))["kafka"])
    await create_topics(bootstrap)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait("intake.calls", b"kept", key=b"call", partition=0)
    broker: Recorded = state.processes()[0]
    process = broker.process()
    assert process is not None
    process.kill()
    await until(lambda: state.processes() != [broker] and bool(state.processes()))
    await until(lambda: answers(bootstrap))
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partition = TopicPartition("intake.calls", 0)
        await until(lambda: _holds_one(consumer, partition))


async def _holds_one(consumer: object, partition: object) -> bool:
    return bool((await consumer.end_offsets([partition]))[partition] == 1)  # type: ignore[attr-defined]
