"""What a request and a batch of events cost in statements and commits, counted; no clock is asked.

The figures are those of today: a change that makes one smaller writes it down here, one that makes it larger says why.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from pathlib import Path

import asyncpg
import pytest

from services.intake.handlers.submit import Receipt, Sent
from shared.clock import business_now
from shared.config import Settings
from shared.ids import new_id
from shared.messaging.consume import Consumer
from shared.messaging.records import RawRecord
from tests.bench import CAUSE
from tests.builders_intake import CALL, IntakeBench, submission
from tests.counting import COMMITS, statements
from tests.databases import Databases
from tests.hops import HOPS, Hop, call_of_run, know, published
from tests.open_call import publish

OF_A_SUBMISSION = 7
"""Keys are held, looked up with their calls, rounds, applicants, applications, outbox, commit."""
OF_A_STATUS = 4
OF_A_BATCH = {
    ("intake", "review.scores"): 4,
    ("intake", "funding.grants"): 6,
    ("review", "intake.applications"): 7,
    ("funding", "intake.applications"): 6,
    ("funding", "review.scores"): 6,
    ("notify", "intake.applications"): 7,
}
"""By service and topic: halted keys, the claim in the inbox, the effect, the outbox, the commit."""


def commits(sent: list[str]) -> int:
    return sum(statement.startswith(COMMITS) for statement in sent)


@pytest.fixture
async def intake(databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IntakeBench:
    bench = await IntakeBench.start(databases, tmp_path, monkeypatch)
    await bench.opened()
    await bench.deposited()
    return bench


async def deposit(intake: IntakeBench, bodies: list[bytes]) -> list[str]:
    """What is sent to the database for submissions that come at once."""
    at = business_now()
    with statements(intake.db) as sent:
        answers = await asyncio.gather(*(intake.desk.submit(Sent(CALL, new_id(), body, at, CAUSE)) for body in bodies))
    assert all(isinstance(answer, Receipt) for answer in answers)
    return sent


def bodies(first: int, count: int) -> list[bytes]:
    numbers = range(first, first + count)
    return [json.dumps(submission(contact__email=f"a{n}@example.org")).encode() for n in numbers]


async def test_submissions_that_come_at_once_cost_together_what_one_costs(intake: IntakeBench) -> None:
    one, many = await deposit(intake, bodies(0, 1)), await deposit(intake, bodies(1, 30))
    assert commits(one) == commits(many) == 1
    assert one == many
    assert len(one) == OF_A_SUBMISSION


async def test_a_repeated_submission_stores_nothing_and_costs_what_asks_for_its_key(intake: IntakeBench) -> None:
    key = new_id()
    assert (await intake.submit(key=key)).status_code == 201
    with statements(intake.db) as sent:
        assert (await intake.submit(key=key)).status_code == 201
    assert len(sent) == 3


async def test_an_applicants_look_at_the_status_costs_few_statements(intake: IntakeBench) -> None:
    applicant = await intake.deposited()
    with statements(intake.db) as sent:
        await applicant.sees()
    assert len(sent) == OF_A_STATUS


@pytest.mark.parametrize("hop", HOPS, ids=lambda hop: hop.service)
async def test_a_batch_of_events_costs_what_one_costs(databases: Databases, hop: Hop) -> None:
    one = await statements_of_batches(databases, hop, 2)
    many = await statements_of_batches(databases, hop, 80)
    assert one == many
    for topic, sent in many.items():
        assert commits(sent) == 1
        assert len(sent) == OF_A_BATCH[hop.service, topic], topic


async def statements_of_batches(databases: Databases, hop: Hop, applications: int) -> dict[str, list[str]]:
    """What is sent for one batch of each topic that a service hears."""
    db = await databases(hop.service)
    subscriptions = importlib.import_module(f"services.{hop.service}.app").service.subscriptions
    consumers = {topic: Consumer(db, subscriptions, topic, Settings()) for topic in hop.topics}
    call = call_of_run("counted")
    if hop.service == "intake":
        await publish(db, call)
        owner = await asyncpg.connect(db.dsn)
    else:
        told = published(call)
        raw = RawRecord(told.topic, 0, 1, told.key, told.value, tuple(told.headers))
        await Consumer(db, subscriptions, told.topic, Settings()).take([raw])
    records = [each for each in hop.make(call, applications) if each.of_application]
    if hop.known_before:
        await know(owner, call, records)
        await owner.close()
    sent = {}
    for topic, consumer in consumers.items():
        batch = [
            RawRecord(topic, 0, place, each.key, each.value, tuple(each.headers))
            for place, each in enumerate(records)
            if each.topic == topic
        ]
        with statements(db) as sent[topic]:
            await consumer.take(batch)
    async with db.transaction() as tx:
        assert await tx.fetch_value("SELECT count(*) FROM dead_letter") == 0
    return sent
