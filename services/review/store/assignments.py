"""Owns the rows of assignments, declarations and loads: who has a place on what; it decides nothing.

A place counts for a reviewer's load in the round from its beginning until it is released.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.review.domain.conflicts import Assignment, ConflictKind, Declared, State
from shared.db import Transaction

OF_APPLICATION = """
SELECT slot, subject, state, kind, reason, waived_by IS NOT NULL AS waived, waiver, versions,
    released_at IS NOT NULL AS released
FROM assignment WHERE application_id = CAST(:id AS uuid) ORDER BY slot
"""
# Places are counted in the same statement: whoever adds or releases one cannot forget the load.
ADD = """
WITH added AS (
    INSERT INTO assignment (application_id, slot, call_id, round_id, subject, assigned_at, assigned_by, assigned_reason)
    SELECT a.id, a.slot, :call_id, a.round_id, a.subject, :at, :by, :reason
    FROM unnest(CAST(:ids AS uuid[]), CAST(:slots AS int[]), CAST(:rounds AS text[]), CAST(:subjects AS text[]))
        AS a (id, slot, round_id, subject)
    RETURNING round_id, subject
)
INSERT INTO reviewer_load (round_id, subject, places)
SELECT round_id, subject, count(*) FROM added GROUP BY round_id, subject ORDER BY round_id, subject
ON CONFLICT (round_id, subject) DO UPDATE SET places = reviewer_load.places + excluded.places
"""
RELEASE = """
WITH released AS (
    UPDATE assignment SET released_at = :at, released_why = r.why,
        state = CASE WHEN state = 'conflict' THEN state ELSE 'removed' END
    FROM unnest(CAST(:ids AS uuid[]), CAST(:slots AS int[]), CAST(:whys AS text[])) AS r (id, slot, why)
    WHERE application_id = r.id AND assignment.slot = r.slot AND released_at IS NULL
    RETURNING round_id, subject
), fewer AS (
    SELECT round_id, subject, count(*) AS places FROM released GROUP BY round_id, subject
)
UPDATE reviewer_load SET places = reviewer_load.places - fewer.places
FROM fewer WHERE reviewer_load.round_id = fewer.round_id AND reviewer_load.subject = fewer.subject
"""
PLACES = """
SELECT CAST(application_id AS text) AS application_id, max(slot) AS last_slot,
    coalesce(array_agg(subject) FILTER (WHERE state <> 'removed'), '{}') AS barred
FROM assignment WHERE application_id = ANY(CAST(:ids AS uuid[])) GROUP BY application_id
"""
LOADS = "SELECT round_id, subject, places FROM reviewer_load WHERE round_id = ANY(CAST(:rounds AS text[]))"
OPEN_OF_CALL = """
SELECT CAST(a.application_id AS text) AS application_id, a.slot, a.subject, p.siret, p.partner_siret
FROM assignment AS a JOIN application AS p USING (application_id)
WHERE a.call_id = :call_id AND a.released_at IS NULL AND a.state <> 'done'
    AND a.subject = ANY(CAST(:subjects AS text[]))
"""
OPEN_OF_APPLICATIONS = """
SELECT CAST(application_id AS text) AS application_id, slot FROM assignment
WHERE application_id = ANY(CAST(:ids AS uuid[])) AND released_at IS NULL AND state <> 'done'
"""
# Noted as the place stood before: both parts of the statement see that.
DECLARE = """
WITH noted AS (
    INSERT INTO declaration (application_id, slot, kind, reason, declared_at, voided_version)
    SELECT application_id, slot, :kind, :reason, :at, CASE WHEN :voids THEN submitted_version END
    FROM assignment WHERE application_id = CAST(:id AS uuid) AND slot = :slot
)
UPDATE assignment SET kind = :kind, reason = :reason, state = :state,
    submitted_version = CASE WHEN :voids THEN NULL ELSE submitted_version END,
    submitted_at = CASE WHEN :voids THEN NULL ELSE submitted_at END
WHERE application_id = CAST(:id AS uuid) AND slot = :slot
"""
WAIVE = """
UPDATE assignment SET waived_by = :by, waiver = :reason, state = :state
WHERE application_id = CAST(:id AS uuid) AND slot = :slot
"""

Why = Literal["conflict", "removed", "own_organisation", "replaced", "withdrawn"]


@dataclass(frozen=True, slots=True)
class NewPlace:
    """A reviewer's new place on an application."""

    application_id: str
    round_id: str
    slot: int
    subject: str


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """A place whose evaluation is not submitted, and the SIRET of whom it is about."""

    application_id: str
    slot: int
    subject: str
    siret: str
    partner_siret: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The places an application had so far: its last slot, and who cannot take another."""

    last_slot: int = 0
    barred: frozenset[str] = frozenset()


async def of_application(tx: Transaction, application_id: str) -> list[Assignment]:
    """Every place an application ever had, by slot."""
    return [Assignment(**row) for row in await tx.fetch_all(OF_APPLICATION, id=application_id)]


async def add(
    tx: Transaction, call_id: str, places: Sequence[NewPlace], at: datetime, by: str | None = None, reason: str = ""
) -> None:
    """Give places; `by` None is the plan."""
    if places:
        await tx.execute(
            ADD, call_id=call_id, at=at, by=by, reason=reason, ids=[each.application_id for each in places],
            slots=[each.slot for each in places], rounds=[each.round_id for each in places],
            subjects=[each.subject for each in places],
        )  # fmt: skip


async def release(tx: Transaction, places: Mapping[tuple[str, int], Why], at: datetime) -> None:
    """Take places back, by (application, slot), and why."""
    if places:
        await tx.execute(
            RELEASE, at=at, ids=[each[0] for each in places], slots=[each[1] for each in places],
            whys=list(places.values()),
        )  # fmt: skip


async def taken_on(tx: Transaction, application_ids: Collection[str]) -> dict[str, Taken]:
    """The places that applications had so far, of those that had any."""
    rows = await tx.fetch_all(PLACES, ids=sorted(application_ids))
    return {row["application_id"]: Taken(row["last_slot"], frozenset(row["barred"])) for row in rows}


async def loads_in(tx: Transaction, round_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """How many places each reviewer has, by round."""
    loads: dict[str, dict[str, int]] = {round_id: {} for round_id in round_ids}
    for row in await tx.fetch_all(LOADS, rounds=sorted(round_ids)):
        loads[row["round_id"]][row["subject"]] = row["places"]
    return loads


async def open_places_of(tx: Transaction, call_id: str, subjects: Collection[str]) -> list[OpenPlace]:
    """The unsubmitted places of some reviewers in a call."""
    return [OpenPlace(**row) for row in await tx.fetch_all(OPEN_OF_CALL, call_id=call_id, subjects=sorted(subjects))]


async def release_open_of(tx: Transaction, application_ids: Collection[str], at: datetime) -> None:
    """Take back every unsubmitted place of withdrawn applications."""
    rows = await tx.fetch_all(OPEN_OF_APPLICATIONS, ids=sorted(application_ids))
    await release(tx, {(row["application_id"], row["slot"]): "withdrawn" for row in rows}, at)


async def save_declaration(
    tx: Transaction, application_id: str, slot: int, kind: ConflictKind, reason: str, made: Declared, at: datetime
) -> None:
    """Keep a declaration beside the earlier ones, and what it makes of the place."""
    await tx.execute(
        DECLARE, id=application_id, slot=slot, kind=kind, reason=reason, voids=made.voids, state=made.state, at=at
    )
    if made.released:
        await release(tx, {(application_id, slot): "conflict"}, at)


async def save_waiver(tx: Transaction, application_id: str, slot: int, by: str, reason: str, state: State) -> None:
    """Keep the chair's waiver and the state in which the reviewer goes on."""
    await tx.execute(WAIVE, id=application_id, slot=slot, by=by, reason=reason, state=state)
