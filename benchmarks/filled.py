"""Owns databases that a call has filled: so many applications in each service's, set-based, without the services."""

# ruff: noqa: S608 - every statement is made of constants of these modules

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import asyncpg

from benchmarks.rounds import CRITERIA, FILL, decidable_call
from services.funding.handlers import publishing
from services.notify import handlers as letters
from services.review.handlers import receiving
from shared.clock import business_now
from shared.db import Database
from shared.events.intake import CallPublished
from shared.ids import new_id
from shared.messaging.records import Delivery
from shared.telemetry import Cause
from tests.databases import Addresses
from tests.dossiers import SENTENCE, dossier
from tests.open_call import CALL_ID, ROUND_ID, publish

# $1 is the call, $2 the round, $3 how many applications.
NUMBERED = """
CREATE TEMPORARY TABLE numbered AS
SELECT n, uuidv7() AS application_id, uuidv7() AS applicant_id, lpad(n::text, 9, '0') AS siren,
    timestamptz '2026-01-05 08:00:00+00' + n * interval '1 second' AS submitted_at
FROM generate_series(1, $3::int) AS n WHERE $1::text IS NOT NULL AND $2::text IS NOT NULL
"""
_BODY = dossier(0)
_BODY["project"] |= {"summary": SENTENCE, "answers": {}}
_BODY["organisation"] |= {"name": "École du numérique"}


def _literal(document: Mapping[str, Any]) -> str:
    return "'" + json.dumps(document, ensure_ascii=False).replace("'", "''") + "'::jsonb"


PROJECT, ORGANISATION = _literal(_BODY["project"]), _literal(_BODY["organisation"])
INBOX = "INSERT INTO inbox (consumer, event_id) SELECT 'bench', application_id FROM numbered"
FILLS: dict[str, Sequence[str]] = {
    "intake": (
        """INSERT INTO applicant (applicant_id, email, email_key, name, language)
        SELECT applicant_id, n || '@filled.example.org', n || '@filled.example.org', 'Camille', 'fr' FROM numbered""",
        f"""INSERT INTO application (application_id, call_id, call_version, round_id, applicant_id, number, reference,
                                    organisation, project, submitted_at)
        SELECT application_id, '{CALL_ID}', 1, '{ROUND_ID}', applicant_id, n, 'BENCH-F' || n,
            {ORGANISATION}, {PROJECT}, submitted_at FROM numbered""",
        "UPDATE call SET last_reference = (SELECT count(*) FROM application)",
        f"""INSERT INTO idempotency (call_id, address_hmac, key, body_hmac, application_id)
        SELECT '{CALL_ID}', sha256(uuid_send(applicant_id)), 'key', sha256(uuid_send(applicant_id)), application_id
        FROM numbered""",
        """INSERT INTO fact (application_id, kind, sequence, occurred_at, sealed)
        SELECT application_id, kind, 1, submitted_at, false
        FROM numbered, unnest(ARRAY['admitted', 'notified']) AS kind""",
        """INSERT INTO sequence_counter (topic, key, value)
        SELECT 'intake.applications', application_id::text, 1 FROM numbered
        UNION ALL SELECT 'intake.contacts', applicant_id::text, 1 FROM numbered""",
        INBOX,
    ),
    "review": (
        f"""INSERT INTO application (application_id, call_id, round_id, reference, siret, requested_eur, submitted_at,
                                     dossier)
        SELECT application_id, '{CALL_ID}', '{ROUND_ID}', 'BENCH-' || n, siren || '00013', 20000, submitted_at,
            jsonb_build_object('project', {PROJECT}, 'organisation', {ORGANISATION}) FROM numbered""",
        "UPDATE round SET received = (SELECT count(*) FROM application)",
        INBOX,
    ),
    "funding": ("UPDATE round SET received = (SELECT count(*) FROM application)", INBOX),
    "notify": (
        """INSERT INTO application (application_id, applicant_id, reference, title, organisation, requested_eur,
                                    submitted_at, deposited_sha256)
        SELECT application_id, applicant_id, 'BENCH-' || n, 'Apprendre ensemble', 'École ' || n, 20000, submitted_at,
            repeat('0', 64) FROM numbered""",
        """INSERT INTO contact (applicant_id, sequence, name, email, language)
        SELECT applicant_id, 1, 'Camille', n || '@filled.example.org', 'fr' FROM numbered""",
        f"""INSERT INTO delivery (delivery_id, event_id, template, message_id, traceparent, application_id, call_id,
            call_version, round_id, caused_at, words, state, ready, language, ended_at)
        SELECT uuidv7(), uuidv7(), 'receipt', '<' || n || '@example.org>', '', application_id, '{CALL_ID}', 1,
            '{ROUND_ID}', submitted_at, '{{}}', 'sent', true, 'fr', submitted_at FROM numbered""",
        INBOX,
    ),
    "ops": (
        f"""INSERT INTO event (topic, partition, "offset", key, type, event_id, sequence, causation_id, time,
                               recorded_at, call_id, reference, headers, payload)
        SELECT 'intake.applications', n % 12, n, application_id::text, 'releve.ApplicationSubmitted.v1',
            uuidv7()::text, 1, 'request:' || n, submitted_at, submitted_at, '{CALL_ID}', 'BENCH-' || n,
            'ce_id: ' || n, {PROJECT}::text FROM numbered""",
    ),
}  # fmt: skip
TAKES_CALLS: dict[str, Callable[..., Awaitable[None]]] = {
    "review": receiving.take_in_calls, "funding": publishing.take_in_calls, "notify": letters.take_in_calls,
}  # fmt: skip


async def fill(service: str, addresses: Addresses, applications: int) -> None:
    """Publish the call to a service, and leave so many applications of its open round there."""
    call, db = decidable_call(), Database(addresses.runtime, service)
    if service == "intake":
        await publish(db, call)
    elif service in TAKES_CALLS:
        event = CallPublished(occurred_at=business_now(), call_id=call.id, call_version=call.version, call=call)
        async with db.transaction() as tx:
            delivery: Delivery[Any] = Delivery(event, new_id(), 1, call.id, Cause.anew("bench"))
            await TAKES_CALLS[service]([delivery], tx, business_now())
    await db.close()
    connection = await asyncpg.connect(addresses.owner)
    given = (CALL_ID, ROUND_ID, applications)
    if service == "funding":
        await connection.execute(FILL, *given)
    await connection.execute(NUMBERED, *given)
    for statement in FILLS[service]:
        await connection.execute(statement)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def some_ids(addresses: Addresses, count: int) -> list[str]:
    """The ids of some applications, anywhere in the table."""
    connection = await asyncpg.connect(addresses.owner)
    rows = await connection.fetch(
        "SELECT application_id::text AS id FROM application ORDER BY random() LIMIT $1", count
    )
    await connection.close()
    return [row["id"] for row in rows]


def score() -> dict[str, Any]:
    """What review says of an application: its score with every mean."""
    return {
        "revision": 1, "score": "80", "basis": "agreed", "criteria": dict.fromkeys(CRITERIA, "4"), "evaluations": 2,
        "spread": "5", "formula_version": 1,
    }  # fmt: skip
