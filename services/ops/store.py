"""Owns the SQL of the index of events; it interprets none of them.

Rows are inserted under one lock, so that ids follow commits: who reads on from an id can miss nothing
(an identity is drawn before its row is visible, and several consumers write at once).
"""

from collections.abc import Sequence
from dataclasses import astuple, fields
from datetime import datetime

from services.ops.entry import Entry
from shared.db import Row, Transaction

INDEX_LOCK = 7_301
"""The advisory lock of this database that orders inserts into the index."""
COLUMNS = (
    'id, topic, partition, "offset", key, type, event_id, sequence, causation_id, time, recorded_at, problem, headers'
)

INSERT = """
INSERT INTO event (topic, partition, "offset", key, type, event_id, sequence, causation_id, time, recorded_at, call_id,
                   reference, problem, headers, payload)
SELECT * FROM unnest(
    CAST(:topic AS text[]), CAST(:partition AS int[]), CAST(:offset AS bigint[]), CAST(:key AS text[]),
    CAST(:type AS text[]), CAST(:event_id AS text[]), CAST(:sequence AS bigint[]), CAST(:causation_id AS text[]),
    CAST(:time AS timestamptz[]), CAST(:recorded_at AS timestamptz[]), CAST(:call_id AS text[]),
    CAST(:reference AS text[]), CAST(:problem AS text[]), CAST(:headers AS text[]), CAST(:payload AS text[]))
ON CONFLICT (topic, partition, "offset") DO NOTHING
"""

OF_KEYS = f"SELECT {COLUMNS}, payload FROM event WHERE key = ANY(CAST(:keys AS text[])) ORDER BY id"  # noqa: S608
OF_TYPES = f"SELECT {COLUMNS}, payload FROM event WHERE type = ANY(CAST(:types AS text[])) ORDER BY id"  # noqa: S608
OF_CALL = f"SELECT {COLUMNS}, payload FROM event WHERE call_id = :call_id ORDER BY id"  # noqa: S608
BROKEN = f"SELECT {COLUMNS}, payload FROM event WHERE problem IS NOT NULL ORDER BY id"  # noqa: S608


async def index(tx: Transaction, entries: Sequence[Entry]) -> int:
    """Add records to the index, each place once; how many were new."""
    await tx.execute(f"SELECT pg_advisory_xact_lock({INDEX_LOCK})")
    columns = zip(*(astuple(entry) for entry in entries), strict=True)
    values = {field.name: list(column) for field, column in zip(fields(Entry), columns, strict=True)}
    return await tx.execute(INSERT, **values)


async def last_id(tx: Transaction) -> int:
    """The id of the newest row; 0 in an empty index."""
    return int(await tx.fetch_value("SELECT coalesce(max(id), 0) FROM event"))


async def first_id_since(tx: Transaction, since: datetime) -> int | None:
    """The lowest id of a row of that business time or later; None if there is none yet."""
    found = await tx.fetch_value("SELECT min(id) FROM event WHERE time >= :since", since=since)
    return None if found is None else int(found)


async def of_keys(tx: Transaction, keys: Sequence[str]) -> Sequence[Row]:
    """Every row of some keys."""
    return await tx.fetch_all(OF_KEYS, keys=list(keys))


async def of_types(tx: Transaction, types: Sequence[str]) -> Sequence[Row]:
    """Every row of some event types."""
    return await tx.fetch_all(OF_TYPES, types=list(types))


async def of_call(tx: Transaction, call_id: str) -> Sequence[Row]:
    """Every row that names a call."""
    return await tx.fetch_all(OF_CALL, call_id=call_id)


async def broken(tx: Transaction) -> Sequence[Row]:
    """Every row that cannot be read."""
    return await tx.fetch_all(BROKEN)


async def calls(tx: Transaction) -> list[str]:
    """Every call that a row of its publication names."""
    rows = await tx.fetch_all("SELECT DISTINCT key FROM event WHERE topic = 'intake.calls' AND problem IS NULL")
    return sorted(row["key"] for row in rows)


async def by_reference(tx: Transaction, reference: str) -> str | None:
    """The id of the application with that human reference; its case does not matter."""
    found = await tx.fetch_value(
        "SELECT key FROM event WHERE lower(reference) = lower(:reference) ORDER BY id LIMIT 1", reference=reference
    )
    return None if found is None else str(found)
