"""Owns rounds to decide: filled set-based with scored applications, ready, and copied as a whole for each run."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from benchmarks.place import Place
from deploy.local.postgres import Tenancy, close_to_others
from services.funding.handlers import publishing
from shared.clock import business_now
from shared.db import Database
from shared.events.call import Call
from shared.events.intake import CallPublished
from shared.ids import new_id
from shared.messaging.records import Delivery
from shared.telemetry import Cause
from tests.databases import PASSWORD, Addresses
from tests.open_call import CALL_ID, ROUND_ID, open_call

ENVELOPE_EUR = 10**12
"""Enough for every claim: each application of the round is awarded."""
CRITERIA = ("relevance", "innovation", "employment", "inclusion", "lasting_need", "feasibility")

# Means to two decimals, 3.00 to 4.99 each, so that ties occur and are broken; one claim in four was recommended.
FILL = f"""
INSERT INTO application (application_id, call_id, round_id, reference, title, organisation, requested_eur, submitted_at,
                         review_sequence, score, means, recommended_eur)
SELECT uuidv7(), $1, $2, 'BENCH-' || n, 'Apprendre ensemble ' || n, 'École du numérique ' || n, 20000 + n % 20000,
    timestamptz '2026-01-05 08:00:00+00' + n * interval '1 second', 2,
    round(20 * ({" + ".join(f"m[{i}]" for i in range(1, len(CRITERIA) + 1))}) / {len(CRITERIA)}, 2),
    jsonb_build_object({", ".join(f"'{name}', m[{i}]::text" for i, name in enumerate(CRITERIA, start=1))}),
    CASE n % 4 WHEN 0 THEN 15000 END
FROM (SELECT n, ARRAY(SELECT round((3 + 2 * ((n * 7919 + i * 104729) % 200) / 200.0), 2)
                      FROM generate_series(1, {len(CRITERIA)}) AS i) AS m
      FROM generate_series(1, $3::int) AS n) AS drawn
"""  # noqa: S608 - constants of this module
READY = """
UPDATE round SET closed_at = now(), closed_call_version = 1, closed_count = $2::int, received = $2::int,
    members_match = true, ready = true, inputs_version = $2::int,
    closed_sha256 = (SELECT encode(sha256(convert_to(string_agg(application_id::text, E'\\n' ORDER BY application_id),
                                                     'UTF8')), 'hex') FROM application WHERE round_id = $1)
WHERE round_id = $1
"""
_numbers = itertools.count(1)


def decidable_call() -> Call:
    """A call whose one round the chair decides alone."""
    return open_call(envelope_eur=ENVELOPE_EUR, second_person=False)


async def fill_funding(addresses: Addresses, call: Call, applications: int) -> None:
    """Publish the call to funding and make its one round ready to be decided."""
    db = Database(addresses.runtime, "funding")
    event = CallPublished(occurred_at=business_now(), call_id=call.id, call_version=call.version, call=call)
    async with db.transaction() as tx:
        delivery = Delivery(event, new_id(), 1, call.id, Cause.anew("bench"))
        await publishing.take_in_calls([delivery], tx, business_now())
    await db.close()
    connection = await asyncpg.connect(addresses.owner)
    await connection.execute(FILL, CALL_ID, ROUND_ID, applications)
    await connection.execute(READY, ROUND_ID, applications)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


@asynccontextmanager
async def copied(place: Place, service: str, filled: Addresses) -> AsyncIterator[Addresses]:
    """A copy of a whole database, as durable as the first, dropped at the end. Nobody may be connected to the first."""
    original = urlsplit(filled.owner).path[1:]
    name, tenancy = f"{original}_copy_{next(_numbers)}", Tenancy(service, PASSWORD)
    connection = await asyncpg.connect(place.servers.postgres.url("postgres"))
    try:
        await connection.execute(
            f'CREATE DATABASE "{name}" TEMPLATE "{original}" OWNER "{tenancy.owner_role}" STRATEGY FILE_COPY'
        )
        await close_to_others(connection, name, tenancy)
        yield Addresses(filled.runtime.replace(original, name), filled.owner.replace(original, name))
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()
