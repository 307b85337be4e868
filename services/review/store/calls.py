"""Owns the rows of calls, rounds and listed reviewers, and the locks on them; it decides nothing.

Everybody locks in one order: call, rounds by id, application. Who changes the call or its reviewers holds the call's
row alone; everybody else shares it, so that neither misses what the other is about to commit.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from services.review.domain.assignment import Reviewer
from shared.db import Transaction
from shared.events.call import Call

PLACES = """
INSERT INTO call (call_id) SELECT id FROM unnest(CAST(:ids AS text[])) AS id ORDER BY id ON CONFLICT DO NOTHING
"""
SHARED = """
SELECT call_id, CAST(document AS text) AS document FROM call
WHERE call_id = ANY(CAST(:ids AS text[])) ORDER BY call_id FOR SHARE
"""
AS_IT_IS = "SELECT CAST(document AS text) AS document FROM call WHERE call_id = :id"
ALONE = "SELECT call_id, CAST(document AS text) AS document FROM call WHERE call_id = :id FOR UPDATE"
SAVE_CALL = """
INSERT INTO call (call_id, version, document) VALUES (:id, :version, CAST(:document AS jsonb))
ON CONFLICT (call_id) DO UPDATE SET version = excluded.version, document = excluded.document
WHERE call.version IS NULL OR call.version < excluded.version
"""
SAVE_ROUNDS = """
INSERT INTO round (round_id, call_id, closes_at)
SELECT round_id, :call_id, closes_at
FROM unnest(CAST(:ids AS text[]), CAST(:closes AS timestamptz[])) AS r (round_id, closes_at) ORDER BY round_id
ON CONFLICT (round_id) DO UPDATE SET closes_at = excluded.closes_at
"""
# Only while none has opened may a new version leave one out; what facts told of a version to come stays.
DROP_ROUNDS = """
DELETE FROM round
WHERE call_id = :call_id AND NOT round_id = ANY(CAST(:ids AS text[])) AND received = 0 AND closed_at IS NULL
"""
ROUND_PLACES = """
INSERT INTO round (round_id, call_id)
SELECT round_id, call_id FROM unnest(CAST(:ids AS text[]), CAST(:calls AS text[])) AS r (round_id, call_id)
ORDER BY round_id ON CONFLICT DO NOTHING
"""
ROUND = "SELECT round_id, call_id, closes_at, received, closed_at, closed_count, matched, planned_at FROM round"
ROUNDS_OF_CALLS = f"{ROUND} WHERE call_id = ANY(CAST(:calls AS text[])) ORDER BY round_id FOR UPDATE"
ROUNDS_OF_CALL = f"{ROUND} WHERE call_id = :call_id ORDER BY closes_at, round_id"
ONE_ROUND = f"{ROUND} WHERE round_id = :id"
RECEIVED = """
UPDATE round SET received = received + r.added
FROM unnest(CAST(:ids AS text[]), CAST(:added AS int[])) AS r (round_id, added) WHERE round.round_id = r.round_id
"""
CLOSED = """
UPDATE round SET closed_at = r.at, closed_count = r.submitted, closed_sha256 = r.sha256
FROM unnest(CAST(:ids AS text[]), CAST(:at AS timestamptz[]), CAST(:submitted AS int[]), CAST(:sha256 AS text[]))
    AS r (round_id, at, submitted, sha256) WHERE round.round_id = r.round_id
"""
# Reckoned only when the count is right, so once in a round's life and not with every application.
MATCH = """
UPDATE round SET matched = true
WHERE round_id = ANY(CAST(:ids AS text[])) AND NOT matched AND received = closed_count AND closed_sha256 = (
    SELECT encode(sha256(convert_to(coalesce(string_agg(
        CAST(application_id AS text), chr(10) ORDER BY CAST(application_id AS text) COLLATE "C"), ''), 'UTF8')), 'hex')
    FROM application WHERE application.round_id = round.round_id)
RETURNING round_id
"""
PLANNED = "UPDATE round SET planned_at = :at WHERE round_id = :id"
REVIEWERS = "SELECT subject, organisations, themes FROM reviewer WHERE call_id = :call_id ORDER BY subject"
FORGET_REVIEWERS = "DELETE FROM reviewer WHERE call_id = :call_id"
LIST_REVIEWERS = """
INSERT INTO reviewer (call_id, subject, organisations, themes)
SELECT :call_id, e ->> 'subject', ARRAY(SELECT jsonb_array_elements_text(e -> 'organisations')),
    ARRAY(SELECT jsonb_array_elements_text(e -> 'themes'))
FROM jsonb_array_elements(CAST(:entries AS jsonb)) AS e
"""
LISTED_BY = "UPDATE call SET reviewers_by = :by, reviewers_at = :at WHERE call_id = :call_id"
LISTED = "SELECT 1 FROM reviewer WHERE subject = :subject AND (CAST(:call AS text) IS NULL OR call_id = :call) LIMIT 1"


@dataclass(frozen=True, slots=True)
class Round:
    """What is known of a round. `matched`: what was received is exactly what intake closed with."""

    round_id: str
    call_id: str
    closes_at: datetime | None
    received: int
    closed_at: datetime | None
    closed_count: int | None
    matched: bool
    planned_at: datetime | None


@lru_cache(maxsize=64)
def call_of(document: str) -> Call:
    """The call that a document is, read once: calls are frozen, so that one may be shared."""
    return Call.model_validate_json(document)


async def share_calls(tx: Transaction, call_ids: Collection[str]) -> dict[str, Call]:
    """Lock calls against changes of themselves; those that are known already."""
    wanted = sorted(call_ids)
    rows = await tx.fetch_all(SHARED, ids=wanted)
    if len(rows) < len(wanted):
        await tx.execute(PLACES, ids=wanted)
        rows = await tx.fetch_all(SHARED, ids=wanted)
    return {row["call_id"]: call_of(row["document"]) for row in rows if row["document"]}


async def lock_call(tx: Transaction, call_id: str) -> Call | None:
    """Lock a call against everybody; None if it was not published (as far as is known here)."""
    row = await tx.fetch_one(ALONE, id=call_id)
    return call_of(row["document"]) if row and row["document"] else None


async def save_call(tx: Transaction, call: Call) -> bool:
    """Keep a call and its rounds if it is newer than what is here; whether it was. Locks the call against everybody."""
    saved = await tx.execute(SAVE_CALL, id=call.id, version=call.version, document=call.model_dump_json())
    if saved:
        ids, closes = [each.id for each in call.rounds], [each.closes_at for each in call.rounds]
        await tx.execute(DROP_ROUNDS, call_id=call.id, ids=ids)
        await tx.execute(SAVE_ROUNDS, call_id=call.id, ids=ids, closes=closes)
    return bool(saved)


async def lock_rounds(
    tx: Transaction, call_ids: Collection[str], mentioned: Iterable[tuple[str, str]] = ()
) -> list[Round]:
    """Lock every round of some calls, with places for those that an event mentions as (round, call) first."""
    rows = await tx.fetch_all(ROUNDS_OF_CALLS, calls=sorted(call_ids))
    if missing := sorted(set(mentioned) - {(row["round_id"], row["call_id"]) for row in rows}):
        await tx.execute(ROUND_PLACES, ids=[each[0] for each in missing], calls=[each[1] for each in missing])
        rows = await tx.fetch_all(ROUNDS_OF_CALLS, calls=sorted(call_ids))
    return [Round(**row) for row in rows]


async def read_round(tx: Transaction, round_id: str) -> Round | None:
    """One round as it is."""
    row = await tx.fetch_one(ONE_ROUND, id=round_id)
    return Round(**row) if row else None


async def read_rounds(tx: Transaction, call_id: str) -> list[Round]:
    """The rounds of a call as they are."""
    return [Round(**row) for row in await tx.fetch_all(ROUNDS_OF_CALL, call_id=call_id)]


async def read_call(tx: Transaction, call_id: str) -> Call | None:
    """A call as it is."""
    document = await tx.fetch_value(AS_IT_IS, id=call_id)
    return call_of(document) if document else None


async def count_received(tx: Transaction, added: dict[str, int]) -> None:
    """Add to the number of applications that each round received."""
    await tx.execute(RECEIVED, ids=list(added), added=list(added.values()))


async def close_rounds(tx: Transaction, closings: Sequence[tuple[str, datetime, int, str]]) -> None:
    """Keep what rounds closed with: (round, closed at, applications, SHA-256 of their ids)."""
    ids, at, submitted, sha256 = ([each[n] for each in closings] for n in range(4))
    await tx.execute(CLOSED, ids=ids, at=at, submitted=submitted, sha256=sha256)


async def match_rounds(tx: Transaction, round_ids: Collection[str]) -> set[str]:
    """Mark the closed rounds whose applications are all here, and no others; those that were not marked before."""
    return {row["round_id"] for row in await tx.fetch_all(MATCH, ids=sorted(round_ids))} if round_ids else set()


async def mark_planned(tx: Transaction, round_id: str, at: datetime) -> None:
    """A ranked round is planned once; this says that it was."""
    await tx.execute(PLANNED, id=round_id, at=at)


async def reviewers_of(tx: Transaction, call_id: str) -> list[Reviewer]:
    """The listed reviewers, by subject."""
    rows = await tx.fetch_all(REVIEWERS, call_id=call_id)
    return [Reviewer(row["subject"], frozenset(row["organisations"]), frozenset(row["themes"])) for row in rows]


async def list_reviewers(tx: Transaction, call_id: str, entries: str, by: str, at: datetime) -> None:
    """Replace the list; `entries` is the JSON of objects with `subject`, `organisations` and `themes`."""
    await tx.execute(FORGET_REVIEWERS, call_id=call_id)
    await tx.execute(LIST_REVIEWERS, call_id=call_id, entries=entries)
    await tx.execute(LISTED_BY, call_id=call_id, by=by, at=at)


async def is_listed(tx: Transaction, subject: str, call_id: str | None = None) -> bool:
    """Whether somebody is a listed reviewer, of that call or of any."""
    return await tx.fetch_one(LISTED, subject=subject, call=call_id) is not None
