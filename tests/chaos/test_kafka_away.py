"""Kafka killed, frozen or without its topics: applicants notice nothing, and afterwards everything is told in order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from deploy.local.choice import Need
from deploy.local.dependencies import LocalDependencies
from deploy.local.ports import choose_ports
from deploy.local.state import StateFolder
from deploy.local.supervise import LONGEST_PAUSE_VARIABLE, Supervisor
from services.intake.handlers.publish import publish_call
from shared.clock import business_now
from shared.db import Database
from shared.events.call import Call
from shared.events.intake import ApplicationSubmitted
from shared.history.invariants import sequences_complete
from shared.history.reading import read_history
from shared.messaging.administer import create_topics
from tests.bench import CAUSE
from tests.chaos.stories import crowd_body, crowd_call
from tests.databases import Addresses, Databases
from tests.processes import missing, running
from tests.waiting import until

AWAY_S = float(os.environ.get("RELEVE_TEST_AWAY_S", "12"))
"""180 in `make chaos-long`: three minutes without a broker, under a steady load."""
PER_SECOND = 10
SEND_WITHIN_S = 5
"""Less than the broker is away: sends time out, their producer is thrown away, and the same rows are sent again."""

pytestmark = pytest.mark.timeout(AWAY_S * 2 + 300)


@dataclass
class Broker:
    """A broker of the test's own; the supervisor starts it again when it dies."""

    bootstrap: str
    state: StateFolder

    def process(self) -> psutil.Process | None:
        entries = [entry for entry in self.state.processes() if entry.role == "kafka"]
        return entries[0].process() if entries else None

    async def away(self, how: str, for_s: float) -> None:
        """Stopped as by a crash and kept from coming back, or frozen."""
        ends = asyncio.get_running_loop().time() + for_s
        if how == "frozen":
            frozen = self.process()
            assert frozen is not None
            frozen.send_signal(signal.SIGSTOP)
            await asyncio.sleep(for_s)
            frozen.send_signal(signal.SIGCONT)
            return
        while asyncio.get_running_loop().time() < ends:
            process = self.process()
            if process is not None:
                process.kill()
            await asyncio.sleep(0.2)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broker]:
    state = StateFolder.at(Path(tmp_path_factory.mktemp("broker")))
    state.prepare()
    supervisor = Supervisor(state.write_processes, lambda _: None)
    ports = choose_ports(["kafka", "kafka-controller"])
    started = await LocalDependencies(state, supervisor, ports).start([Need.KAFKA])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LONGEST_PAUSE_VARIABLE, "1")
        yield Broker(str(started["kafka"]), state)
    await supervisor.stop()


def surroundings(broker: Broker, addresses: Addresses) -> dict[str, str]:
    return {
        "RELEVE_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "RELEVE_INTAKE_DATABASE_URL": addresses.runtime,
        "RELEVE_SEND_TIMEOUT_S": str(SEND_WITHIN_S), "RELEVE_RETRY_LONGEST_S": "1", "RELEVE_SESSION_TIMEOUT_S": "6",
    }  # fmt: skip


async def publish(addresses: Addresses, call_id: str) -> None:
    db = Database(addresses.runtime, "intake")
    async with db.transaction() as tx:
        await publish_call(tx, Call.model_validate(crowd_call(call_id)), business_now(), CAUSE)
    await db.close()


async def test_a_service_whose_topics_are_missing_says_which_and_begins_when_they_are_there(
    broker: Broker, databases: Databases
) -> None:
    async with running("intake", **surroundings(broker, await databases.addresses("intake"))) as (_, url):
        await until(lambda: says(url, "missing on the broker: funding.grants, notify.deliveries"))
        await create_topics(broker.bootstrap)
        await until(lambda: ready(url))


async def says(url: str, sentence: str) -> bool:
    return any(sentence in each for each in await missing(url))


async def ready(url: str) -> bool:
    return not await missing(url)


@dataclass
class Load:
    """A steady load of submissions. `answers` are ids of applications by status."""

    url: str
    call_id: str
    answers: dict[int, list[str]] = field(default_factory=dict)
    number: int = 0

    async def run(self, until_done: asyncio.Task[None]) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client, asyncio.TaskGroup() as group:
            while not until_done.done():
                self.number += 1
                group.create_task(self._submit(client, self.number))
                await asyncio.sleep(1 / PER_SECOND)

    async def _submit(self, client: httpx.AsyncClient, number: int) -> None:
        body = crowd_body()
        body["contact"]["email"] = f"porteur-{number}@exemple.example"
        answer = await client.post(
            f"/api/v1/calls/{self.call_id}/applications", json=body, headers={"Idempotency-Key": str(number)}
        )
        self.answers.setdefault(answer.status_code, []).append(answer.json().get("application_id", answer.text))


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_applicants_notice_nothing_while_kafka_is_away_and_all_is_told_afterwards(
    broker: Broker, databases: Databases, how: str
) -> None:
    await create_topics(broker.bootstrap)
    addresses = await databases.addresses("intake")
    await publish(addresses, how)
    async with running("intake", **surroundings(broker, addresses)) as (_, url):
        await until(lambda: ready(url))
        load = Load(url, how)
        async with asyncio.TaskGroup() as group:
            group.create_task(until(lambda: says(url, "relay intake: ")))
            await load.run(group.create_task(broker.away(how, AWAY_S)))
        assert set(load.answers) == {201}, {status: each[:3] for status, each in load.answers.items()}
        assert len(load.answers[201]) == load.number
        await until(lambda: ready(url))
        await until(lambda: nothing_unsent(url))
    history = await read_history(broker.bootstrap)
    told = {fact.application_id for _, fact in history.all(ApplicationSubmitted)}
    assert set(load.answers[201]) <= told
    assert list(sequences_complete(history)) == []


async def nothing_unsent(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        return bool((await client.get(f"{url}/status", timeout=20)).json()["outbox_unsent"] == 0)
