"""Owns the queries behind lists: a reviewer's work and a round's progress, page by page; it changes nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.db import Transaction

PAGE = 50

# One more than a page: it says whether another follows.
OWN = f"""
SELECT CAST(a.application_id AS text) AS application_id, p.reference, a.call_id, a.round_id,
    p.dossier #>> '{{project,title}}' AS title, a.slot, a.state, a.assigned_at, p.state AS application_state
FROM assignment AS a JOIN application AS p USING (application_id)
WHERE a.subject = :subject AND a.state <> 'removed'
    AND EXISTS (SELECT FROM reviewer AS r WHERE r.call_id = a.call_id AND r.subject = a.subject)
    AND (CAST(:call AS text) IS NULL OR a.call_id = :call)
    AND (CAST(:round AS text) IS NULL OR a.round_id = :round)
    AND (CAST(:state AS text) IS NULL OR a.state = :state)
    AND (CAST(:after AS uuid) IS NULL OR a.application_id > CAST(:after AS uuid))
ORDER BY a.application_id LIMIT {PAGE + 1}
"""  # noqa: S608
COUNTS = "SELECT state, count(*) AS applications FROM application WHERE round_id = :round GROUP BY state"
# Each state is asked for a page of its own, in the order of its index, and the pages are merged to one.
OF_ROUND = f"""
SELECT CAST(application_id AS text) AS application_id, reference, dossier #>> '{{project,title}}' AS title, state,
    submitted_at, lacking, revision
FROM unnest(CAST(:states AS text[])) AS wanted CROSS JOIN LATERAL (
    SELECT * FROM application WHERE round_id = :round AND state = wanted AND application_id > CAST(:after AS uuid)
    ORDER BY application_id LIMIT {PAGE + 1}) AS page
ORDER BY application_id LIMIT {PAGE + 1}
"""  # noqa: S608
BEFORE_ALL = "00000000-0000-0000-0000-000000000000"
PLACES = """
SELECT CAST(application_id AS text) AS application_id, slot, subject, state, kind FROM assignment
WHERE application_id = ANY(CAST(:ids AS uuid[])) AND released_at IS NULL ORDER BY application_id, slot
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; `next` is what to ask the following one with, None at the end."""

    items: Sequence[Mapping[str, Any]]
    next: str | None


@dataclass(frozen=True, slots=True)
class Filters:
    """What a reviewer asks to see of their own work; None means all."""

    call: str | None = None
    round: str | None = None
    state: str | None = None


@dataclass(slots=True)
class Standing:
    """One application of a round and the places that are taken on it."""

    application_id: str
    reference: str
    title: str
    state: str
    submitted_at: datetime
    lacking: int
    revision: int
    places: list[dict[str, Any]] = field(default_factory=list)


async def own_assignments(tx: Transaction, subject: str, wanted: Filters, after: str | None) -> Page:
    """One page of somebody's assignments in the calls that list them, each with its application's state."""
    rows = await tx.fetch_all(
        OWN, subject=subject, call=wanted.call, round=wanted.round, state=wanted.state, after=after
    )
    return _page([{str(n): v for n, v in row.items()} for row in rows])


async def counts_of(tx: Transaction, round_id: str) -> dict[str, int]:
    """How many applications of a round are in each state."""
    return {row["state"]: row["applications"] for row in await tx.fetch_all(COUNTS, round=round_id)}


async def standing_in(
    tx: Transaction, round_id: str, states: Collection[str], after: str | None
) -> tuple[list[Standing], str | None]:
    """One page of a round's applications in some states, with their places, and what follows."""
    rows = await tx.fetch_all(OF_ROUND, round=round_id, states=sorted(states), after=after or BEFORE_ALL)
    page = _page([{str(n): v for n, v in row.items()} for row in rows])
    found = {item["application_id"]: Standing(**item) for item in page.items}
    for row in await tx.fetch_all(PLACES, ids=list(found)):
        place = {str(n): v for n, v in row.items() if n != "application_id"}
        found[row["application_id"]].places.append(place)
    return list(found.values()), page.next


def _page(rows: Sequence[Mapping[str, Any]]) -> Page:
    items = rows[:PAGE]
    return Page(items, items[-1]["application_id"] if len(rows) > PAGE else None)
