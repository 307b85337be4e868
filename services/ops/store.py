"""Owns the SQL of the index of events; it interprets none of them.

Rows are inserted under one lock, so that ids follow commits: who reads on from an id can miss nothing
(an identity is drawn before its row is visible, and several consumers write at once).
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime

from sqlalchemy import RowMapping

from services.ops.entry import Entry
from shared.db import Transaction

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


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows somebody wants to see; empty means all. Types are full names such as `releve.GrantAwarded.v1`."""

    topics: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


# The text is sought in what people see of a row: payload, headers, and why it cannot be read.
MATCHING = f"""
SELECT {COLUMNS}, payload FROM event
WHERE id > :after AND id <= :upto
  AND (:any_topic OR topic = ANY(CAST(:topics AS text[])))
  AND (:any_type OR type = ANY(CAST(:types AS text[])))
  AND (:any_key OR key = ANY(CAST(:keys AS text[])))
  AND (CAST(:since AS timestamptz) IS NULL OR coalesce(time, recorded_at) >= :since)
  AND (CAST(:until AS timestamptz) IS NULL OR coalesce(time, recorded_at) <= :until)
  AND (:any_text OR payload ILIKE :pattern OR headers ILIKE :pattern OR problem ILIKE :pattern)
"""  # noqa: S608 - only constants are put in
IN_ORDER = f"{MATCHING} ORDER BY id LIMIT :most"
LATEST = f"{MATCHING} ORDER BY id DESC LIMIT :most"

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


async def matching(tx: Transaction, filters: Filters, after: int, upto: int, most: int) -> Sequence[RowMapping]:
    """Rows with `after` < id <= `upto` that the filters want, in the order of ids."""
    return await tx.fetch_all(IN_ORDER, after=after, upto=upto, most=most, **_parameters(filters))


async def latest(tx: Transaction, filters: Filters, upto: int, within: int, most: int) -> Sequence[RowMapping]:
    """The newest rows up to an id that the filters want, the newest first, sought among the last `within` rows."""
    return await tx.fetch_all(LATEST, after=max(upto - within, 0), upto=upto, most=most, **_parameters(filters))


async def first_id_since(tx: Transaction, since: datetime) -> int | None:
    """The lowest id of a row of that business time or later; None if there is none yet."""
    found = await tx.fetch_value("SELECT min(id) FROM event WHERE time >= :since", since=since)
    return None if found is None else int(found)


async def of_keys(tx: Transaction, keys: Sequence[str]) -> Sequence[RowMapping]:
    """Every row of some keys."""
    return await tx.fetch_all(OF_KEYS, keys=list(keys))


async def of_types(tx: Transaction, types: Sequence[str]) -> Sequence[RowMapping]:
    """Every row of some event types."""
    return await tx.fetch_all(OF_TYPES, types=list(types))


async def of_call(tx: Transaction, call_id: str) -> Sequence[RowMapping]:
    """Every row that names a call."""
    return await tx.fetch_all(OF_CALL, call_id=call_id)


async def broken(tx: Transaction) -> Sequence[RowMapping]:
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


def _parameters(filters: Filters) -> dict[str, object]:
    escaped = filters.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {
        "any_topic": not filters.topics, "topics": list(filters.topics),
        "any_type": not filters.types, "types": list(filters.types),
        "any_key": not filters.keys, "keys": list(filters.keys),
        "any_text": not filters.text, "pattern": f"%{escaped}%",
        "since": filters.since, "until": filters.until,
    }  # fmt: skip
