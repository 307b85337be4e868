"""Submissions: 32 clients deposit 3 kB dossiers, each answered once it is stored with its events."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from benchmarks.baselines.pgbench import run_script
from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place, emptied, web_process
from shared.db import Database
from shared.events.call import Call
from tests.databases import Addresses
from tests.dossiers import dossier
from tests.open_call import CALL_ID, ROUND_ID, open_call, publish

CLIENTS, PROCESSES = 32, 2
"""One process of the service for each core, of the plain way as well."""
LIMIT, PLAIN, RELEVE = 12_000, 1_000, 6_000
"""Submissions of one run."""
PATH = f"/api/v1/calls/{CALL_ID}/applications"

# The rows that intake's handler leaves of one submission, in its own tables, with its own indexes and checks.
SAME_ROWS = f"""
WITH a AS (
    INSERT INTO applicant (applicant_id, email, email_key, name, language)
    SELECT id, id || '@ecole.example.org', id || '@ecole.example.org', 'Camille Durand', 'fr' FROM uuidv7() AS id
    RETURNING applicant_id
), b AS (
    INSERT INTO application (application_id, call_id, call_version, round_id, applicant_id, number, reference,
                             organisation, project, submitted_at)
    SELECT id, '{CALL_ID}', 1, '{ROUND_ID}', a.applicant_id, 1, 'BENCH-' || id, CAST(:organisation AS text)::jsonb,
           CAST(:project AS text)::jsonb, now()
    FROM a, uuidv7() AS id
    RETURNING application_id, applicant_id
), c AS (
    INSERT INTO idempotency (call_id, address_hmac, key, body_hmac, application_id)
    SELECT '{CALL_ID}', sha256(uuid_send(applicant_id)), 'key', sha256(uuid_send(applicant_id)), application_id FROM b
), d AS (
    INSERT INTO sequence_counter (topic, key, value)
    SELECT 'intake.applications', application_id, 1 FROM b
    UNION ALL SELECT 'intake.contacts', applicant_id, 1 FROM b
)
INSERT INTO outbox (topic, key, event_id, type, sequence, time, causation_id, traceparent, payload)
SELECT 'intake.contacts', applicant_id, uuidv7(), 'releve.ContactUpdated.v1', 1, now(),
       'request:0190a0a0-0000-7000-8000-000000000000', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
       convert_to(CAST(:contact AS text), 'UTF8') FROM b
UNION ALL
SELECT 'intake.applications', application_id, uuidv7(), 'releve.ApplicationSubmitted.v1', 1, now(),
       'request:0190a0a0-0000-7000-8000-000000000000', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
       convert_to(CAST(:submitted AS text), 'UTF8') FROM b;
"""  # noqa: S608 - constants of this module


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """The product's intake, the plain one and a database for the limit, each with a database of its own."""
    limit, own, empty = [await place.databases.addresses("intake") for _ in range(3)]
    call = open_call()
    for addresses in (limit, own):
        db = Database(addresses.runtime, "intake")
        await publish(db, call)
        await db.close()
    await emptied(empty)
    async with _releve(place, own) as releve_urls, _plain(place, empty, call) as plain_urls:
        numbers = itertools.count()

        async def committed() -> Mapping[str, float]:
            return await run_script(limit.runtime, SAME_ROWS, _parameters(), clients=CLIENTS, transactions=LIMIT)

        async def by_releve() -> Mapping[str, float]:
            return await submitted(releve_urls, RELEVE, next(numbers) * RELEVE)

        async def plainly() -> Mapping[str, float]:
            return await submitted(plain_urls, PLAIN, next(numbers) * RELEVE)

        yield {"limit": committed, "plain": plainly, "releve": by_releve}


def _releve(place: Place, addresses: Addresses) -> AbstractAsyncContextManager[list[str]]:
    environment = {"RELEVE_INTAKE_DATABASE_URL": addresses.runtime}
    command = ("-m", "services.intake", "--role", "api")
    return _served(place, "intake", *command, environment=environment, port_variable="RELEVE_INTAKE_PORT")


def _plain(place: Place, addresses: Addresses, call: Call) -> AbstractAsyncContextManager[list[str]]:
    driven = addresses.owner.replace("postgresql://", "postgresql+asyncpg://")
    environment = {"PLAIN_DATABASE_URL": driven, "PLAIN_CALL": call.model_dump_json()}
    command = ("-m", "benchmarks.baselines.submit_plain")
    return _served(place, "plain", *command, environment=environment, port_variable="PLAIN_PORT")


@asynccontextmanager
async def _served(
    place: Place, name: str, *command: str, environment: Mapping[str, str], port_variable: str
) -> AsyncIterator[list[str]]:
    """So many processes of one command; their addresses."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(web_process(
                place, f"{name}-{number}", *command, ready="/healthz", environment=environment,
                port_variable=port_variable,
            ))
            for number in range(PROCESSES)
        ]  # fmt: skip


def _parameters() -> dict[str, str]:
    """What a submission sends to the database, as text."""
    body = dossier(1)
    told = {"application_id": "0190a0a0-0000-7000-8000-000000000000", **body["project"], **body["organisation"]}
    return {
        "organisation": json.dumps(body["organisation"]), "project": json.dumps(body["project"]),
        "contact": json.dumps(body["contact"]), "submitted": json.dumps(told),
    }  # fmt: skip


async def submitted(urls: Sequence[str], count: int, first: int) -> Mapping[str, float]:
    """Load one service from a process of its own. Raises RuntimeError if a submission was refused."""
    command = ["-m", "benchmarks.load", "--path", PATH, "--first", str(first), "--count", str(count)]
    addresses = [word for url in urls for word in ("--url", url)]
    running = await asyncio.create_subprocess_exec(
        sys.executable, *command, *addresses, "--connections", str(CLIENTS), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await running.communicate()
    told = json.loads(said)
    if told["statuses"] != {"201": count}:
        raise RuntimeError(f"not all were taken: {told['statuses']}")
    return {name: told[name] for name in ("per_s", "p50_ms", "p99_ms")}


BENCHMARK = Benchmark(
    name="submit",
    work=f"submit 3 kB, {CLIENTS} clients, {PROCESSES} processes: validated, idempotent, stored, outboxed",
    open=opened,
    aims=(
        Aim("of the limit", ("releve", "per_s"), ("limit", "per_s"), at_least=0.40),
        Aim("times the plain way", ("releve", "per_s"), ("plain", "per_s"), at_least=5),
        Aim("p99 over p50", ("releve", "p99_ms"), ("releve", "p50_ms"), at_most=4),
    ),
    known={"limit": "4,570/s", "plain": "290/s", "releve": "2,670/s as a bare group commit"},
)
