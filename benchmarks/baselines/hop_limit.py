"""The limit of a hop: bare aiokafka and asyncpg, one statement for a batch's claims, effects and outbox rows.

The same rows in the same tables with the same promises (each event once, none of a halted key, the commit before the
acknowledgement, a relay that sends in order and deletes what was acknowledged), and nothing else: no check of what an
event says, no retry, no word of what goes on. `HOP_SERVICE`, `HOP_DATABASE_URL`, `HOP_KAFKA`, `HOP_TOPICS` (JSON: the
topics it hears, by the names of those that they stand for) and `HOP_NEXT` (where it relays to) say what it works on.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer

from benchmarks.baselines import hop_limit_rows as sql
from benchmarks.baselines.batches import PIECE, Record, producer_of_batches, send
from benchmarks.baselines.event_headers import event_headers

SERVICE, KAFKA = os.environ["HOP_SERVICE"], os.environ["HOP_KAFKA"]
TOPICS, NEXT = json.loads(os.environ["HOP_TOPICS"]), os.environ["HOP_NEXT"]
BATCH = 500
CHECKS = ("kind_allowed", "theme_present", "declared_not_in_use", "amount_in_bounds", "dates_in_calendar")
ADMITTED = json.dumps(dict.fromkeys(CHECKS, True))

Headers = dict[str, bytes]
Columns = Callable[[dict[str, Any], Headers], tuple[Any, ...]]


def scored_fact(event: dict[str, Any], headers: Headers) -> tuple[Any, ...]:
    return int(headers["ce_sequence"]), event["occurred_at"]


def awarded_fact(event: dict[str, Any], headers: Headers) -> tuple[Any, ...]:
    sealed, grant_id, amount = event["sealed"], event["grant_id"], event["amount_eur"]
    return int(headers["ce_sequence"]), event["occurred_at"], sealed, grant_id, amount, event["answer_by"]


def dossier(event: dict[str, Any], _: Headers) -> tuple[Any, ...]:
    kept = json.dumps({name: event[name] for name in ("organisation", "project", "attachments")}, ensure_ascii=False)
    siret, requested = event["organisation"]["siret"], event["project"]["requested_eur"]
    return event["call_id"], event["round_id"], event["reference"], siret, requested, event["submitted_at"], kept


def closing(event: dict[str, Any], _: Headers) -> tuple[Any, ...]:
    return event["closed_at"], event["submitted"], event["applications_sha256"]


def application(event: dict[str, Any], _: Headers) -> tuple[Any, ...]:
    project, organisation = event["project"], event["organisation"]["name"]
    about = event["call_id"], event["round_id"], event["reference"]
    return (*about, project["title"], organisation, project["requested_eur"], event["submitted_at"])


def score(event: dict[str, Any], headers: Headers) -> tuple[Any, ...]:
    about = event["call_id"], event["round_id"], int(headers["ce_sequence"])
    return (*about, event["score"], json.dumps(event["criteria"]), event["recommended_eur"])


def letter(event: dict[str, Any], headers: Headers) -> tuple[Any, ...]:
    project, organisation = event["project"], event["organisation"]
    deposited = {"organisation": organisation, "project": project, "attachments": event["attachments"]}
    told = json.dumps(deposited, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    about = event["applicant_id"], event["reference"], project["title"], organisation["name"], project["requested_eur"]
    digest, trace = hashlib.sha256(told.encode()).hexdigest(), headers["traceparent"].decode()
    return (*about, event["submitted_at"], digest, trace, event["call_id"], event["round_id"], event["occurred_at"])


EFFECTS: dict[tuple[str, bytes], tuple[str, Columns]] = {
    ("intake", b"releve.Scored.v1"): (sql.INTAKE_SCORED, scored_fact),
    ("intake", b"releve.GrantAwarded.v1"): (sql.INTAKE_AWARDED, awarded_fact),
    ("review", b"releve.ApplicationSubmitted.v1"): (sql.REVIEW_SUBMITTED, dossier),
    ("review", b"releve.RoundClosed.v1"): (sql.REVIEW_CLOSED, closing),
    ("funding", b"releve.ApplicationSubmitted.v1"): (sql.FUNDING_SUBMITTED, application),
    ("funding", b"releve.Scored.v1"): (sql.FUNDING_SCORED, score),
    ("notify", b"releve.ApplicationSubmitted.v1"): (sql.NOTIFY_SUBMITTED, letter),
}


async def take(pool: asyncpg.Pool, topic: str, records: Sequence[Any], committed: asyncio.Event) -> None:
    """One transaction for the batch, a statement for each type in it."""
    rows: dict[tuple[str, bytes], list[tuple[Any, ...]]] = {}
    trace = ""
    for record in records:
        headers = dict(record.headers)
        kind = SERVICE, headers["ce_type"]
        key, event, trace = record.key.decode(), json.loads(record.value), headers["traceparent"].decode()
        rows.setdefault(kind, []).append((headers["ce_id"].decode(), key, *EFFECTS[kind][1](event, headers)))
    async with pool.acquire() as connection, connection.transaction():
        for kind, batch in rows.items():
            columns = (list(column) for column in zip(*batch, strict=True))
            await connection.execute(EFFECTS[kind][0], f"limit.{topic}", topic, *columns)
        if SERVICE == "review":
            await connection.execute(sql.REVIEW_MATCHED, ADMITTED, batch[-1][0], trace)
    committed.set()


async def consume(pool: asyncpg.Pool, declared: str, committed: asyncio.Event) -> None:
    consumer = AIOKafkaConsumer(
        TOPICS[declared], bootstrap_servers=KAFKA, group_id=TOPICS[declared], enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    await consumer.start()
    while True:
        found = await consumer.getmany(timeout_ms=500, max_records=BATCH)
        if records := [record for some in found.values() for record in some]:
            await take(pool, declared, records, committed)
            await consumer.commit()


async def relay(pool: asyncpg.Pool, committed: asyncio.Event) -> None:
    producer = producer_of_batches(KAFKA)
    await producer.start()
    async with pool.acquire() as connection:
        while True:
            committed.clear()
            rows = await connection.fetch("SELECT * FROM outbox ORDER BY id LIMIT $1", PIECE)
            await asyncio.gather(*await send(producer, map(record_of, rows)))
            if rows:
                await connection.execute("DELETE FROM outbox WHERE id = ANY($1)", [row["id"] for row in rows])
            if len(rows) < PIECE:
                await committed.wait()


def record_of(row: asyncpg.Record) -> Record:
    key = row["key"].encode()
    headers = event_headers(
        SERVICE, row["event_id"], row["type"], key, row["time"], row["sequence"], row["causation_id"],
        row["traceparent"],
    )  # fmt: skip
    return NEXT, key, row["payload"], headers


async def main() -> None:
    # Not closed by a context: that would wait for the others' connections, and hide for ever what ended one of them.
    pool, committed = await asyncpg.create_pool(os.environ["HOP_DATABASE_URL"], min_size=3, max_size=3), asyncio.Event()
    await asyncio.gather(relay(pool, committed), *(consume(pool, declared, committed) for declared in TOPICS))


if __name__ == "__main__":
    uvloop.run(main())
