"""The plain way of a hop: a FastStream handler with SQLModel objects; one event, one transaction, one commit.

The same inbox, rows and outbox as the product in its own tables, written as one would at first; what it works on comes
by the same variables as for `hop_limit`.
"""

import asyncio
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import uvloop
from aiokafka import AIOKafkaProducer
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.baselines import hop_plain_tables as t
from benchmarks.baselines.event_headers import event_headers

SERVICE, KAFKA, NEXT = os.environ["HOP_SERVICE"], os.environ["HOP_KAFKA"], os.environ["HOP_NEXT"]
TOPICS = json.loads(os.environ["HOP_TOPICS"])
engine = create_async_engine(os.environ["HOP_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"))
broker = KafkaBroker(KAFKA, log_level=logging.DEBUG)
MIN_EUR, MAX_EUR = 10_000, 40_000
written = asyncio.Event()
Headers = dict[str, str]


async def keep_fact(session: AsyncSession, event: t.ApplicationEvent, headers: Headers) -> None:
    fact = t.IntakeFact(
        application_id=event.application_id, kind="scored", sequence=int(headers["ce_sequence"]),
        occurred_at=event.occurred_at, sealed=False,
    )  # fmt: skip
    if isinstance(event, t.GrantAwarded):
        fact.kind, fact.sealed, fact.amount_eur = "awarded", event.sealed, event.amount_eur
        fact.grant_id, fact.answer_by = event.grant_id, event.answer_by
        await session.get_one(t.IntakeApplication, event.application_id, with_for_update=True)
        query = select(t.IntakeFact).where(t.IntakeFact.application_id == event.application_id)
        if any(each.kind == "announced" for each in await session.exec(query)):
            raise ValueError("a laureate would follow: these are runs of sealed awards only")
    session.add(fact)


async def keep_dossier(session: AsyncSession, event: t.ApplicationSubmitted, _: Headers) -> None:
    held = await session.get_one(t.ReviewRound, event.round_id, with_for_update=True)
    held.received += 1
    dossier = event.model_dump(mode="json", include={"organisation", "project", "attachments"})
    session.add(
        t.ReviewApplication(
            application_id=event.application_id, call_id=event.call_id, round_id=event.round_id, dossier=dossier,
            reference=event.reference, siret=event.organisation.siret, requested_eur=event.project.requested_eur,
            submitted_at=event.submitted_at,
        )
    )  # fmt: skip
    await session.flush()
    await admit(session, held, event)


async def close_round(session: AsyncSession, event: t.RoundClosed, _: Headers) -> None:
    held = await session.get_one(t.ReviewRound, event.round_id, with_for_update=True)
    held.closed_at, held.closed_count = event.closed_at, event.submitted
    held.closed_sha256 = event.applications_sha256
    await admit(session, held, event)


async def admit(session: AsyncSession, held: t.ReviewRound, event: t.CallEvent) -> None:
    if held.matched or held.closed_count != held.received:
        return
    query = select(t.ReviewApplication).where(t.ReviewApplication.round_id == held.round_id)
    members = (await session.exec(query)).all()
    ids = "\n".join(sorted(str(each.application_id) for each in members))
    if hashlib.sha256(ids.encode()).hexdigest() != held.closed_sha256:
        return
    held.matched = True
    for each in members:
        checks = checks_of(each)
        if all(checks.values()):
            each.state, each.admitted, each.checks, each.admissibility_reason = "admitted", True, checks, ""
            each.decided_at = event.occurred_at
            await tell_admitted(session, each, event.occurred_at)


def checks_of(application: t.ReviewApplication) -> dict[str, bool]:
    project = application.dossier["project"]
    return {
        "kind_allowed": application.dossier["organisation"]["kind"] == "training_organisation",
        "theme_present": bool(project["themes"]), "declared_not_in_use": True,
        "amount_in_bounds": MIN_EUR <= application.requested_eur <= MAX_EUR,
        "dates_in_calendar": project["starts_on"] <= project["ends_on"],
    }  # fmt: skip


async def tell_admitted(session: AsyncSession, application: t.ReviewApplication, at: datetime) -> None:
    key = str(application.application_id)
    told = {
        "occurred_at": at.isoformat(), "call_id": application.call_id, "call_version": 1,
        "round_id": application.round_id, "application_id": key, "checks": application.checks,
    }  # fmt: skip
    counter = await session.get(t.SequenceCounter, ("review.scores", key), with_for_update=True)
    if counter is None:
        counter = t.SequenceCounter(topic="review.scores", key=key, value=0)
        session.add(counter)
    counter.value += 1
    session.add(
        t.Outbox(
            topic="review.scores", key=key, event_id=uuid.uuid4(), type="releve.ApplicationAdmitted.v1",
            sequence=counter.value, time=at, causation_id=key, traceparent="", payload=json.dumps(told).encode(),
        )
    )  # fmt: skip


async def count(session: AsyncSession, event: t.CallEvent, *, received: int, opened: int) -> None:
    held = await session.get_one(t.FundingRound, event.round_id, with_for_update=True)
    held.received += received
    held.open_members += opened
    held.inputs_version += 1


async def keep_application(session: AsyncSession, event: t.ApplicationSubmitted, _: Headers) -> None:
    held = await session.get(t.FundingApplication, event.application_id, with_for_update=True)
    if held is None:
        held = t.FundingApplication(
            application_id=event.application_id, call_id=event.call_id, round_id=event.round_id
        )  # fmt: skip
        session.add(held)
    held.reference, held.title, held.organisation = event.reference, event.project.title, event.organisation.name
    held.requested_eur, held.submitted_at = event.project.requested_eur, event.submitted_at
    await count(session, event, received=1, opened=int(held.score is None))


async def keep_score(session: AsyncSession, event: t.Scored, headers: Headers) -> None:
    held = await session.get(t.FundingApplication, event.application_id, with_for_update=True)
    if held is None:
        held = t.FundingApplication(
            application_id=event.application_id, call_id=event.call_id, round_id=event.round_id
        )  # fmt: skip
        session.add(held)
    if held.review_sequence >= int(headers["ce_sequence"]):
        return
    opened = -1 if held.submitted_at is not None and held.score is None else 0
    held.review_sequence, held.score = int(headers["ce_sequence"]), event.score
    held.means = {name: str(mean) for name, mean in event.criteria.items()}
    held.recommended_eur = event.recommended_eur
    await count(session, event, received=0, opened=opened)


async def queue_letter(session: AsyncSession, event: t.ApplicationSubmitted, headers: Headers) -> None:
    deposited = event.model_dump(mode="json", include={"organisation", "project", "attachments"})
    told = json.dumps(deposited, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    session.add(
        t.NotifyApplication(
            application_id=event.application_id, applicant_id=event.applicant_id, reference=event.reference,
            title=event.project.title, organisation=event.organisation.name, submitted_at=event.submitted_at,
            requested_eur=event.project.requested_eur, deposited_sha256=hashlib.sha256(told.encode()).hexdigest(),
        )
    )  # fmt: skip
    session.add(
        t.NotifyDelivery(
            delivery_id=uuid.uuid4(), event_id=uuid.UUID(headers["ce_id"]), template="receipt",
            message_id=f"<{headers['ce_id']}@letters.releve>", traceparent=headers["traceparent"],
            application_id=event.application_id, call_id=event.call_id, call_version=event.call_version,
            round_id=event.round_id, caused_at=event.occurred_at, words={},
        )
    )  # fmt: skip


Effect = Callable[[AsyncSession, Any, Headers], Awaitable[None]]
EFFECTS: dict[tuple[str, str], tuple[type[t.Event], Effect]] = {
    ("intake", "releve.Scored.v1"): (t.Scored, keep_fact),
    ("intake", "releve.GrantAwarded.v1"): (t.GrantAwarded, keep_fact),
    ("review", "releve.ApplicationSubmitted.v1"): (t.ApplicationSubmitted, keep_dossier),
    ("review", "releve.RoundClosed.v1"): (t.RoundClosed, close_round),
    ("funding", "releve.ApplicationSubmitted.v1"): (t.ApplicationSubmitted, keep_application),
    ("funding", "releve.Scored.v1"): (t.Scored, keep_score),
    ("notify", "releve.ApplicationSubmitted.v1"): (t.ApplicationSubmitted, queue_letter),
}


async def handle(message: KafkaMessage, group: str) -> None:
    headers = dict(message.headers)
    model, effect = EFFECTS[SERVICE, headers["ce_type"]]
    event = model.model_validate_json(message.body)
    try:
        await write(event, effect, headers, group)
    except IntegrityError:  # the other topic's handler made the same row meanwhile: now it is found
        await write(event, effect, headers, group)
    written.set()


async def write(event: t.Event, effect: Effect, headers: Headers, group: str) -> None:
    event_id = uuid.UUID(headers["ce_id"])
    async with AsyncSession(engine, expire_on_commit=False) as session:
        if await session.get(t.Inbox, (group, event_id)) is None:
            session.add(t.Inbox(consumer=group, event_id=event_id))
            await session.flush()
            await effect(session, event, headers)
            await session.commit()


def subscribe(declared: str) -> None:
    topic, group = TOPICS[declared], f"plain.{declared}"
    subscriber = broker.subscriber(topic, group_id=topic, auto_offset_reset="earliest", ack_policy=AckPolicy.ACK)

    async def on_event(message: KafkaMessage) -> None:
        await handle(message, group)

    subscriber(on_event)


async def relay() -> None:
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, enable_idempotence=True, acks="all")
    await producer.start()
    while True:
        written.clear()
        async with AsyncSession(engine, expire_on_commit=False) as session:
            for row in (await session.exec(select(t.Outbox).order_by(col(t.Outbox.id)).limit(100))).all():
                key = row.key.encode()
                headers = event_headers(
                    SERVICE, row.event_id, row.type, key, row.time, row.sequence, row.causation_id, row.traceparent
                )
                await producer.send_and_wait(NEXT, row.payload, key=key, headers=headers)
                await session.delete(row)
                await session.commit()
        if not await more():
            await written.wait()


async def more() -> bool:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        return (await session.exec(select(t.Outbox.id).limit(1))).first() is not None


async def main() -> None:
    for declared in TOPICS:
        subscribe(declared)
    relaying = asyncio.create_task(relay())
    await FastStream(broker).run()
    relaying.cancel()


if __name__ == "__main__":
    uvloop.run(main())
