"""The plain way to decide a round: SQLModel objects, one application after the other, in one transaction.

The same order, claims, ledger, awards, numbered events and stored documents as the product, written as one would at
first. `PLAIN_DATABASE_URL` names an empty database; one JSON document tells the figures.
"""

import asyncio
import hashlib
import json
import os
import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, LargeBinary
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

MIN_EUR = 10_000
PASS_MARK = Decimal(60)
CRITERIA = ("relevance", "innovation", "employment", "inclusion", "lasting_need", "feasibility")
TIE_BREAK = ("inclusion", "employment", "relevance")
TOPIC = "funding.grants"


class Envelope(SQLModel, table=True):
    call_id: str = Field(primary_key=True)
    available_eur: int = Field(sa_type=BigInteger)
    reserved_eur: int = Field(default=0, sa_type=BigInteger)
    last_entry: int = 0


class Application(SQLModel, table=True):
    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    round_id: str = Field(index=True)
    requested_eur: int
    recommended_eur: int | None = None
    submitted_at: datetime = Field(sa_type=DateTime(timezone=True))
    score: Decimal
    means: dict[str, str] = Field(sa_column=Column(JSON))
    outcome: str | None = None
    rank: int | None = None


class LedgerEntry(SQLModel, table=True):
    call_id: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    kind: str
    amount_eur: int
    application_id: uuid.UUID
    grant_id: uuid.UUID


class Award(SQLModel, table=True):
    grant_id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    application_id: uuid.UUID = Field(foreign_key="application.id", unique=True)
    rank: int
    amount_eur: int
    answer_by: datetime = Field(sa_type=DateTime(timezone=True))


class Decision(SQLModel, table=True):
    round_id: str = Field(primary_key=True)
    inputs: str
    outcome: str
    inputs_sha256: str
    outcome_sha256: str


class Counter(SQLModel, table=True):
    topic: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    value: int = 0


class Outbox(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    event_id: uuid.UUID = Field(default_factory=uuid.uuid4)
    topic: str
    key: str
    type: str
    sequence: int
    payload: bytes = Field(sa_column=Column(LargeBinary))


def place(each: Application) -> tuple[Any, ...]:
    return (-each.score, *(-Decimal(each.means[name]) for name in TIE_BREAK), each.submitted_at, each.id)


async def record(session: AsyncSession, key: str, event_type: str, told: dict[str, Any]) -> None:
    counter = await session.get(Counter, (TOPIC, key), with_for_update=True)
    if counter is None:
        counter = Counter(topic=TOPIC, key=key)
        session.add(counter)
    counter.value += 1
    payload = json.dumps(told, default=str).encode()
    session.add(Outbox(topic=TOPIC, key=key, type=event_type, sequence=counter.value, payload=payload))


async def award(session: AsyncSession, each: Application, rank: int, amount: int, now: datetime) -> None:
    envelope = await session.get_one(Envelope, "bench")
    envelope.available_eur -= amount
    envelope.reserved_eur += amount
    envelope.last_entry += 1
    granted = Award(application_id=each.id, rank=rank, amount_eur=amount, answer_by=now + timedelta(days=30))
    session.add(granted)
    session.add(
        LedgerEntry(
            call_id="bench", number=envelope.last_entry, kind="reserve", amount_eur=amount, application_id=each.id,
            grant_id=granted.grant_id,
        )
    )  # fmt: skip
    told = {**granted.model_dump(), "requested_eur": each.requested_eur, "ledger_entry": envelope.last_entry}
    await record(session, str(each.id), "releve.GrantAwarded.v1", told)


async def decide(session: AsyncSession, round_id: str) -> None:
    now = datetime.now(UTC)
    envelope = (await session.exec(select(Envelope).where(Envelope.call_id == "bench").with_for_update())).one()
    members = list(await session.exec(select(Application).where(Application.round_id == round_id)))
    inputs = json.dumps([each.model_dump() for each in members], default=str, sort_keys=True)
    lines, stopped = [], False
    for rank, each in enumerate(sorted(members, key=place), start=1):
        claim = min(max(each.recommended_eur or each.requested_eur, MIN_EUR), each.requested_eur)
        each.rank = rank
        stopped = stopped or claim > envelope.available_eur
        each.outcome = "not_selected" if each.score < PASS_MARK else "waitlisted" if stopped else "awarded"
        if each.outcome == "awarded":
            await award(session, each, rank, claim, now)
        else:
            await record(session, str(each.id), f"releve.{each.outcome}.v1", {"id": each.id, "rank": rank})
        lines.append({"rank": rank, "application_id": str(each.id), "outcome": each.outcome, "claim_eur": claim})
    outcome = json.dumps(lines, sort_keys=True)
    decision = Decision(
        round_id=round_id, inputs=inputs, outcome=outcome, inputs_sha256=hashlib.sha256(inputs.encode()).hexdigest(),
        outcome_sha256=hashlib.sha256(outcome.encode()).hexdigest(),
    )  # fmt: skip
    session.add(decision)
    told = {"round_id": round_id, "inputs_sha256": decision.inputs_sha256, "outcome_sha256": decision.outcome_sha256}
    await record(session, round_id, "releve.RoundDecided.v1", told)


def an_application(number: int) -> Application:
    means = {name: f"{3 + 2 * random.random():.2f}" for name in CRITERIA}
    score = round(20 * sum(map(Decimal, means.values()), Decimal(0)) / len(means), 2)
    submitted_at = datetime(2026, 1, 5, 8, tzinfo=UTC) + timedelta(seconds=number)
    return Application(
        round_id="bench-r1", requested_eur=20_000 + number, submitted_at=submitted_at, score=score, means=means
    )


async def main(applications: int) -> None:
    engine = create_async_engine(os.environ["PLAIN_DATABASE_URL"])
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.drop_all)
        await connection.run_sync(SQLModel.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add(Envelope(call_id="bench", available_eur=10**12))
        session.add_all([an_application(number) for number in range(applications)])
        await session.commit()
    begun = time.perf_counter()
    async with AsyncSession(engine) as session:
        await decide(session, "bench-r1")
        await session.commit()
    print(json.dumps({"seconds": time.perf_counter() - begun}))
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(int(os.environ["PLAIN_APPLICATIONS"])))
