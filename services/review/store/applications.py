"""Owns the rows of applications: what was deposited and how far its instruction is; it decides nothing."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from services.review.domain.admissibility import Deposit
from services.review.domain.assignment import Task, sirens_of
from shared.db import Row, Transaction
from shared.events.base import Fact
from shared.events.intake import ApplicationSubmitted, Attachment, Organisation, Project

ADD = """
INSERT INTO application (
    application_id, call_id, round_id, reference, siret, partner_siret, requested_eur, submitted_at, dossier)
SELECT id, call_id, round_id, reference, siret, partner, eur, at, CAST(dossier AS jsonb)
FROM unnest(CAST(:ids AS uuid[]), CAST(:calls AS text[]), CAST(:rounds AS text[]), CAST(:references AS text[]),
    CAST(:sirets AS text[]), CAST(:partners AS text[]), CAST(:eur AS bigint[]), CAST(:at AS timestamptz[]),
    CAST(:dossiers AS text[])) AS a (id, call_id, round_id, reference, siret, partner, eur, at, dossier)
ORDER BY id
"""
COLUMNS = """
CAST(application_id AS text) AS application_id, call_id, round_id, reference, siret, partner_siret, requested_eur,
submitted_at, CAST(dossier AS text) AS deposited, state, CAST(checks AS text) AS checks, admissibility_reason, admitted,
decided_at, decided_by, lacking, revision
"""
ONE = f"SELECT {COLUMNS} FROM application WHERE application_id = CAST(:id AS uuid)"  # noqa: S608
# The place counts those of the whole call: an organisation's first application may be in an earlier round.
TO_CHECK = """
SELECT CAST(application_id AS text) AS application_id, round_id, dossier -> 'organisation' ->> 'kind' AS kind,
    partner_siret IS NOT NULL AS has_partner, ARRAY(SELECT jsonb_array_elements_text(project -> 'themes')) AS themes,
    requested_eur, CAST(project ->> 'starts_on' AS date) AS starts_on, CAST(project ->> 'ends_on' AS date) AS ends_on,
    CASE WHEN :places THEN (
        SELECT count(*) FROM application AS b
        WHERE b.call_id = a.call_id AND b.siret = a.siret AND b.withdrawn_at IS NULL
            AND (b.submitted_at, b.application_id) <= (a.submitted_at, a.application_id)) END AS place
FROM application AS a, LATERAL (SELECT dossier -> 'project' AS project OFFSET 0)
WHERE round_id = ANY(CAST(:rounds AS text[])) AND state = 'to_check'
    AND (CAST(:sirets AS text[]) IS NULL OR siret = ANY(CAST(:sirets AS text[])))
ORDER BY submitted_at, application_id
"""
PLACE = """
SELECT count(*) FROM application
WHERE call_id = :call_id AND siret = :siret AND withdrawn_at IS NULL
    AND (submitted_at, application_id) <= (:at, CAST(:id AS uuid))
"""
DECIDE = """
UPDATE application SET state = CASE WHEN d.admitted THEN 'admitted' ELSE 'inadmissible' END, admitted = d.admitted,
    checks = CAST(d.checks AS jsonb), admissibility_reason = d.reason, decided_at = :at, decided_by = :by
FROM unnest(CAST(:ids AS uuid[]), CAST(:admitted AS boolean[]), CAST(:checks AS text[]), CAST(:reasons AS text[]))
    AS d (id, admitted, checks, reason) WHERE application_id = d.id
"""
WITHDRAW = """
UPDATE application SET state = 'withdrawn', lacking = 0, withdrawn_at = w.at
FROM unnest(CAST(:ids AS uuid[]), CAST(:at AS timestamptz[])) AS w (id, at)
WHERE application_id = w.id AND withdrawn_at IS NULL
RETURNING CAST(application_id AS text) AS application_id, siret
"""
HOME = "SELECT call_id, round_id FROM application WHERE application_id = CAST(:id AS uuid)"
SOME = "SELECT 1 FROM application WHERE round_id = :round_id AND state = :state LIMIT 1"
HOLD_UNDECIDED = """
SELECT 1 FROM application WHERE round_id = :round_id AND state = 'to_check' AND application_id <> CAST(:but AS uuid)
LIMIT 1 FOR UPDATE SKIP LOCKED
"""
TASK = "CAST(application_id AS text) AS application_id, round_id, submitted_at, siret, partner_siret, lacking"
ADMITTED = f"""
SELECT {TASK}, ARRAY(SELECT jsonb_array_elements_text(dossier -> 'project' -> 'themes')) AS themes FROM application
WHERE round_id = :round_id AND state = 'admitted' ORDER BY submitted_at, application_id
"""  # noqa: S608
WAITING = f"""
SELECT {TASK} FROM application
WHERE call_id = :call_id AND lacking > 0 OR application_id = ANY(CAST(:ids AS uuid[])) ORDER BY application_id
"""  # noqa: S608
SET_LACKING = """
UPDATE application SET lacking = l.lacking, state = CASE WHEN l.lacking > 0 THEN 'to_assign' ELSE 'in_evaluation' END
FROM unnest(CAST(:ids AS uuid[]), CAST(:lacking AS int[])) AS l (id, lacking) WHERE application_id = l.id
"""
SET_STATE = "UPDATE application SET state = :state, lacking = 0 WHERE application_id = CAST(:id AS uuid)"
SCORED = """
UPDATE application SET state = 'scored', lacking = 0, revision = :revision WHERE application_id = CAST(:id AS uuid)
"""


class Dossier(Fact):
    """What the applicant deposited, as ApplicationSubmitted told it; kept whole, shown in parts."""

    organisation: Organisation
    project: Project
    attachments: tuple[Attachment, ...] = ()


DOSSIER = set(Dossier.model_fields)


@dataclass(frozen=True)
class Application:
    """One application. `lacking` places have no reviewer; `revision` counts its scores.

    What was deposited, `deposited` as JSON, is read only where somebody looks into it: few commands do.
    """

    application_id: str
    call_id: str
    round_id: str
    reference: str
    siret: str
    partner_siret: str | None
    requested_eur: int
    submitted_at: datetime
    deposited: str
    state: str
    checks: dict[str, bool] | None
    admissibility_reason: str | None
    admitted: bool | None
    decided_at: datetime | None
    decided_by: str | None
    lacking: int
    revision: int

    @cached_property
    def dossier(self) -> Dossier:
        """What the applicant deposited."""
        return Dossier.model_validate_json(self.deposited)

    @property
    def sirens(self) -> frozenset[str]:
        """The SIREN of the organisation and of its partner."""
        return sirens_of(self.siret, self.partner_siret)


@dataclass(frozen=True, slots=True)
class Unchecked:
    """An application that awaits admissibility, as far as the built-in checks look at it."""

    application_id: str
    round_id: str
    deposit: Deposit


@dataclass(frozen=True, slots=True)
class Waiting:
    """An application that may lack reviewers: its task (places = lacking) and its round."""

    task: Task
    round_id: str


def application_of(row: Row | Mapping[str, Any]) -> Application:
    """One application from a row of `COLUMNS`."""
    return Application(**{**row, "checks": json.loads(row["checks"]) if row["checks"] else None})


def _waiting(row: Row, themes: Sequence[str] = ()) -> Waiting:
    sirens = sirens_of(row["siret"], row["partner_siret"])
    task = Task(row["application_id"], row["submitted_at"], sirens, row["lacking"], frozenset(themes))
    return Waiting(task, row["round_id"])


async def add(tx: Transaction, submitted: Sequence[ApplicationSubmitted]) -> None:
    """Keep new applications."""
    await tx.execute(
        ADD,
        ids=[each.application_id for each in submitted],
        calls=[each.call_id for each in submitted],
        rounds=[each.round_id for each in submitted],
        references=[each.reference for each in submitted],
        sirets=[each.organisation.siret for each in submitted],
        partners=[each.organisation.partner.siret if each.organisation.partner else None for each in submitted],
        eur=[each.project.requested_eur for each in submitted],
        at=[each.submitted_at for each in submitted],
        dossiers=[each.model_dump_json(include=DOSSIER) for each in submitted],
    )


async def withdraw(tx: Transaction, withdrawn: Mapping[str, datetime]) -> dict[str, str]:
    """Mark applications withdrawn, by id; of those that were not, the SIRET by id."""
    rows = await tx.fetch_all(WITHDRAW, ids=list(withdrawn), at=list(withdrawn.values()))
    return {row["application_id"]: row["siret"] for row in rows}


async def home_of(tx: Transaction, application_id: str) -> tuple[str, str] | None:
    """The call and the round of an application, which never change: what to lock before it."""
    row = await tx.fetch_one(HOME, id=application_id)
    return (row["call_id"], row["round_id"]) if row else None


async def read(tx: Transaction, application_id: str) -> Application:
    """One application that is known to be there."""
    row = await tx.fetch_one(ONE, id=application_id)
    assert row is not None  # noqa: S101 - its case was opened under its lock
    return application_of(row)


async def to_check(
    tx: Transaction, round_ids: Collection[str], sirets: Collection[str] | None, *, places: bool
) -> list[Unchecked]:
    """What awaits admissibility, of these SIRETs only or of all; with its place among its organisation's if asked."""
    rows = await tx.fetch_all(
        TO_CHECK, rounds=sorted(round_ids), sirets=None if sirets is None else sorted(sirets), places=places
    )
    return [
        Unchecked(
            row["application_id"], row["round_id"],
            Deposit(
                row["kind"], row["has_partner"], frozenset(row["themes"]), row["requested_eur"], row["starts_on"],
                row["ends_on"], row["place"],
            ),
        )
        for row in rows
    ]  # fmt: skip


async def place_of(tx: Transaction, application: Application) -> int:
    """Its place, from 1, among its organisation's applications that are not withdrawn."""
    return int(
        await tx.fetch_value(
            PLACE, call_id=application.call_id, siret=application.siret, at=application.submitted_at,
            id=application.application_id,
        )
    )  # fmt: skip


async def decide(
    tx: Transaction, decisions: Sequence[tuple[str, bool, Mapping[str, bool], str]], by: str | None, at: datetime
) -> None:
    """Keep decisions on admissibility: (application, admitted, checks, reason); `by` None is the machine."""
    await tx.execute(
        DECIDE, at=at, by=by, ids=[each[0] for each in decisions], admitted=[each[1] for each in decisions],
        checks=[json.dumps(dict(each[2])) for each in decisions], reasons=[each[3] for each in decisions],
    )  # fmt: skip


async def hold_undecided(tx: Transaction, round_id: str, but: str) -> bool:
    """Lock one application of the round, `but` not this one, that awaits admissibility and that nobody else holds."""
    return await tx.fetch_one(HOLD_UNDECIDED, round_id=round_id, but=but) is not None


async def any_in(tx: Transaction, round_id: str, state: str) -> bool:
    """Whether an application of the round is in that state."""
    return await tx.fetch_one(SOME, round_id=round_id, state=state) is not None


async def admitted_in(tx: Transaction, round_id: str) -> list[Waiting]:
    """The applications of a round that wait to be planned, in order."""
    rows = await tx.fetch_all(ADMITTED, round_id=round_id)
    return [_waiting(row, row["themes"]) for row in rows]


async def waiting_in(tx: Transaction, call_id: str, also: Collection[str]) -> list[Waiting]:
    """The applications of a call that lack reviewers, and the named ones."""
    return [_waiting(row) for row in await tx.fetch_all(WAITING, call_id=call_id, ids=sorted(also))]


async def set_lacking(tx: Transaction, lacking: Mapping[str, int]) -> None:
    """How many places have no reviewer, by application: they are in evaluation, or wait for somebody to be assigned."""
    if lacking:
        await tx.execute(SET_LACKING, ids=list(lacking), lacking=list(lacking.values()))


async def await_arbitration(tx: Transaction, application_id: str) -> None:
    """The opinions stay apart."""
    await tx.execute(SET_STATE, id=application_id, state="to_arbitrate")


async def mark_scored(tx: Transaction, application_id: str, revision: int) -> None:
    """A score of that revision stands."""
    await tx.execute(SCORED, id=application_id, revision=revision)
