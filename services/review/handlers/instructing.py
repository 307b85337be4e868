"""Owns the officer's decision on admissibility; the machine only prefills it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.review.domain.admissibility import Admitted, Inadmissible, decide_admissibility
from services.review.domain.refusals import Invalid, NotNow, Refusal
from services.review.handlers.cases import Case, open_case
from services.review.handlers.planning import admission_event, others_plan, plan_round
from services.review.rules import conditions_of
from services.review.store import applications
from shared.db import Transaction
from shared.events.review import ApplicationInadmissible
from shared.telemetry import Cause


async def check_admissibility(
    tx: Transaction,
    application_id: str,
    checks: Mapping[str, bool],
    reason: str,
    officer: str,
    now: datetime,
    cause: Cause,
    *,
    alone: bool,
) -> dict[str, Any] | Refusal:
    """Decide on every check; the last decision of a closed round plans it. Equal content again changes nothing.

    Raises MustBeAlone.
    """
    case = await open_case(tx, application_id, alone=alone)
    if not isinstance(case, Case):
        return case
    decision = decide_admissibility(conditions_of(case.call), checks, reason)
    if isinstance(decision, Invalid):
        return decision
    if case.application.admitted is not None:
        return _again(case, decision)
    if case.application.state == "withdrawn":
        return NotNow("The application was withdrawn.")
    admitted = isinstance(decision, Admitted)
    if not case.alone and not await others_plan(tx, case.call, case.round, case.id):
        case.must_be_alone()
    await applications.decide(tx, [(case.id, admitted, decision.checks, decision.reason)], officer, now)
    _record(tx, case, decision, now, cause)
    if case.alone:
        await plan_round(tx, case.call, case.round, now)
    return _answer(case.id, admitted=admitted, checks=decision.checks, reason=decision.reason)


def _again(case: Case, decision: Admitted | Inadmissible) -> dict[str, Any] | NotNow:
    held = case.application
    if held.checks != decision.checks or held.admissibility_reason != decision.reason:
        return NotNow("Admissibility was decided otherwise, and that stands.")
    return _answer(case.id, admitted=bool(held.admitted), checks=decision.checks, reason=decision.reason)


def _record(tx: Transaction, case: Case, decision: Admitted | Inadmissible, now: datetime, cause: Cause) -> None:
    if isinstance(decision, Admitted):
        tx.outbox.record(admission_event(case.call, case.application, decision, now), cause)
        return
    event = ApplicationInadmissible(
        occurred_at=now, call_id=case.call.id, call_version=case.call.version, round_id=case.application.round_id,
        application_id=case.id, checks=dict(decision.checks), reason=decision.reason,
    )  # fmt: skip
    tx.outbox.record(event, cause)


def _answer(application_id: str, *, admitted: bool, checks: Mapping[str, bool], reason: str) -> dict[str, Any]:
    return {
        "application_id": application_id,
        "admissibility": "admitted" if admitted else "inadmissible",
        "checks": dict(checks),
        "reason": reason,
    }
