"""Owns a reviewer's commands on an assigned application: declare, keep marks, submit."""

from datetime import datetime
from typing import Any

from services.review.domain.conflicts import WITHDRAWN, ConflictKind, Declared, declare, may_evaluate, needs_nobody
from services.review.domain.evaluation import Evaluation, wrong_in_draft, wrong_to_submit
from services.review.domain.refusals import Invalid, NotNow, Refusal
from services.review.domain.scoring import Awaits
from services.review.handlers.cases import OwnCase, open_own_case
from services.review.handlers.scoring import carry_out, lacks, settle, void, weigh
from services.review.rules import frame_of
from services.review.store import assignments, evaluations
from shared.db import Transaction
from shared.telemetry import Cause

VOIDED = "a reviewer declared a conflict of interest after submitting"
"""Why a score was voided, for everybody who reads the event: it names nobody and nothing of the conflict."""


async def declare_conflict(
    tx: Transaction,
    application_id: str,
    subject: str,
    kind: ConflictKind,
    reason: str,
    now: datetime,
    cause: Cause,
    *,
    alone: bool,
) -> dict[str, Any] | Refusal:
    """Declare an interest, also late: a submitted evaluation is then voided, and the score that rested on it.

    Raises MustBeAlone.
    """  # fmt: skip
    own = await open_own_case(tx, application_id, subject, alone=alone)
    if not isinstance(own, OwnCase):
        return own
    case, place = own.case, own.place
    answer = {"application_id": case.id, "slot": place.slot, "kind": kind, "reason": reason}
    if (place.kind, place.reason) == (kind, reason):
        return answer
    if case.application.state == "withdrawn":
        return WITHDRAWN
    made = declare(place, kind, reason)
    if not isinstance(made, Declared):
        return made
    if made.voids or made.released:
        case.must_be_alone()
    await assignments.save_declaration(tx, case.id, place.slot, kind, reason, made, now)
    if made.voids:
        await void(tx, case, VOIDED, now, cause)
    if made.voids or made.released:
        await settle(tx, case, now, cause)
    return answer


async def save_evaluation(
    tx: Transaction, application_id: str, subject: str, evaluation: Evaluation, now: datetime, *, alone: bool
) -> dict[str, Any] | Refusal:
    """Keep a version of the marks beside the earlier ones; equal content again adds none."""
    own = await open_own_case(tx, application_id, subject, alone=alone)
    if not isinstance(own, OwnCase):
        return own
    case, place = own.case, own.place
    latest = await evaluations.latest(tx, case.id, place.slot) if place.versions else None
    if latest is not None and latest.evaluation == evaluation:
        return _kept(case.id, place.slot, latest.version, latest.saved_at)
    if refused := _refuses(own):
        return refused
    if errors := wrong_in_draft(evaluation, frame_of(case.call, case.application)):
        return Invalid(errors)
    version = await evaluations.save_version(tx, case.id, place.slot, evaluation, now)
    return _kept(case.id, place.slot, version, now)


async def submit_evaluation(
    tx: Transaction, application_id: str, subject: str, now: datetime, cause: Cause, *, alone: bool
) -> dict[str, Any] | Refusal:
    """Lock the latest version and let it count; the one that completes the score emits it. Raises MustBeAlone."""
    own = await open_own_case(tx, application_id, subject, alone=alone)
    if not isinstance(own, OwnCase):
        return own
    case, place = own.case, own.place
    if place.state == "done":
        held = next(each for each in await evaluations.submitted_on(tx, case.id) if each.slot == place.slot)
        return _submitted(case.id, place.slot, held.version, held.submitted_at)
    if refused := _refuses(own):
        return refused
    counting = await evaluations.submitted_on(tx, case.id, also=place.slot)
    latest = next((each for each in counting if each.slot == place.slot), None)
    if latest is None:
        return NotNow("There are no marks to submit yet.")
    if errors := wrong_to_submit(latest.evaluation, frame_of(case.call, case.application)):
        return Invalid(errors)
    verdict = await weigh(tx, case, counting)
    if isinstance(verdict, Awaits) and lacks(verdict.wanted, case.places):
        case.must_be_alone()
    await evaluations.submit(tx, case.id, place.slot, now)
    await carry_out(tx, case, verdict, case.places, now, cause)
    return _submitted(case.id, place.slot, latest.version, now)


def _refuses(own: OwnCase) -> NotNow | None:
    return needs_nobody(own.case.application.state) or may_evaluate(own.place)


def _kept(application_id: str, slot: int, version: int, at: datetime) -> dict[str, Any]:
    return {"application_id": application_id, "slot": slot, "version": version, "saved_at": at}


def _submitted(application_id: str, slot: int, version: int, at: datetime | None) -> dict[str, Any]:
    return {"application_id": application_id, "slot": slot, "version": version, "submitted_at": at}
