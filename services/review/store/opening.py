"""Owns the locks that a command begins with, in the one order, and what is read under them; it decides nothing."""

from dataclasses import fields
from typing import Any

from services.review.domain.conflicts import Assignment
from services.review.store.applications import Application, application_of
from services.review.store.calls import Round, call_of
from shared.db import Row, Transaction
from shared.events.call import Call

# One statement locks call, round and application in this order, and gives each as it is once all three are held. What
# other tables say must be asked in a later statement: this one saw them before it waited.
OPEN = """
SELECT CAST(c.document AS text) AS call_document,
    r.round_id, r.call_id, r.closes_at, r.received, r.closed_at, r.closed_count, r.matched, r.planned_at,
    CAST(a.application_id AS text) AS application_id, a.reference, a.siret, a.partner_siret, a.requested_eur,
    a.submitted_at, CAST(a.dossier AS text) AS deposited, a.state, CAST(a.checks AS text) AS checks,
    a.admissibility_reason, a.admitted, a.decided_at, a.decided_by, a.lacking, a.revision
FROM application AS a JOIN round AS r ON r.round_id = a.round_id JOIN call AS c ON c.call_id = a.call_id
WHERE a.application_id = CAST(:id AS uuid) AND c.document IS NOT NULL
FOR SHARE OF c FOR {of_round} OF r FOR UPDATE OF a
"""
OPEN_ALONE, OPEN_BESIDE = OPEN.format(of_round="UPDATE"), OPEN.format(of_round="SHARE")
OWN_PLACES = """
SELECT slot, subject, state, kind, reason, waived_by IS NOT NULL AS waived, waiver, versions,
    released_at IS NOT NULL AS released,
    EXISTS (SELECT FROM reviewer AS l WHERE l.call_id = :call_id AND l.subject = :own) AS listed
FROM (SELECT) AS one LEFT JOIN assignment ON application_id = CAST(:id AS uuid) ORDER BY slot
"""


async def lock_case(tx: Transaction, application_id: str, *, alone: bool) -> tuple[Call, Round, Application] | None:
    """Lock an application with its call (shared) and its round (shared unless `alone`); None if one is not here yet."""
    row = await tx.fetch_one(OPEN_ALONE if alone else OPEN_BESIDE, id=application_id)
    if row is None:
        return None
    held = {each.name: row[each.name] for each in fields(Application)}
    known = Round(**{each.name: row[each.name] for each in fields(Round)})
    return call_of(row["call_document"]), known, application_of(held)


async def places_and_listed(
    tx: Transaction, application_id: str, call_id: str, subject: str
) -> tuple[list[Assignment], bool]:
    """Every place the application ever had, by slot, and whether somebody is a listed reviewer of the call."""
    rows = await tx.fetch_all(OWN_PLACES, id=application_id, call_id=call_id, own=subject)
    return [_place(row) for row in rows if row["slot"] is not None], rows[0]["listed"]


def _place(row: Row) -> Assignment:
    values: dict[str, Any] = {each.name: row[each.name] for each in fields(Assignment)}
    return Assignment(**values)
