"""Owns the moment of the score: emitted in the transaction that completes it, voided in the one that undoes it."""

from collections.abc import Sequence
from datetime import datetime

from services.review.domain.assignment import Task
from services.review.domain.conflicts import Assignment
from services.review.domain.scoring import FORMULA_VERSION, Awaits, Score, ToArbitrate, judge
from services.review.handlers.cases import Case
from services.review.handlers.planning import ask_further
from services.review.rules import rubric_of
from services.review.store import applications, assignments, evaluations
from services.review.store.applications import Waiting
from services.review.store.evaluations import Submitted
from shared.db import Transaction
from shared.events.review import Scored, ScoreVoided
from shared.telemetry import Cause

Verdict = Score | Awaits | ToArbitrate


async def weigh(tx: Transaction, case: Case, submitted: Sequence[Submitted]) -> Verdict:
    """What these evaluations of a locked case come to, with the chair's arbitration where one may stand."""
    rubric = rubric_of(case.call)
    further = len(submitted) > rubric.reviewers_per_application
    arbitration = await evaluations.arbitration_of(tx, case.id) if further else None
    chair = evaluations.opinion_of(evaluations.ARBITER, arbitration.evaluation) if arbitration else None
    return judge(rubric, [each.opinion for each in submitted], chair)


async def settle(tx: Transaction, case: Case, now: datetime, cause: Cause) -> None:
    """Score the application if its condition holds, else ask for what it lacks. The case is locked, without a score."""
    verdict = await weigh(tx, case, await evaluations.submitted_on(tx, case.id))
    await carry_out(tx, case, verdict, await assignments.of_application(tx, case.id), now, cause)


async def carry_out(
    tx: Transaction, case: Case, verdict: Verdict, places: Sequence[Assignment], now: datetime, cause: Cause
) -> None:
    """Do what a verdict asks for. `places` are the application's as they are now."""
    match verdict:
        case Score():
            await _record(tx, case, verdict, now, cause)
        case ToArbitrate():
            await applications.await_arbitration(tx, case.id)
        case Awaits(wanted):
            await _ask(tx, case, lacks(wanted, places), now)


async def void(tx: Transaction, case: Case, reason: str, now: datetime, cause: Cause) -> None:
    """An evaluation no longer counts: neither does what rested on it."""
    await evaluations.void_arbitration(tx, case.id, now)
    revision = await evaluations.void_score(tx, case.id, reason, now)
    if revision is not None:
        event = ScoreVoided(**_about(case, now), revision=revision, reason=reason)
        tx.outbox.record(event, cause)


async def _record(tx: Transaction, case: Case, score: Score, now: datetime, cause: Cause) -> None:
    revision = case.application.revision + 1
    await evaluations.save_score(tx, case.id, revision, score, now)
    await applications.mark_scored(tx, case.id, revision)
    event = Scored(
        **_about(case, now), revision=revision, score=score.score, basis=score.basis, criteria=dict(score.criteria),
        evaluations=score.evaluations, spread=score.spread, recommended_eur=score.recommended_eur,
        formula_version=FORMULA_VERSION,
    )  # fmt: skip
    tx.outbox.record(event, cause)


def lacks(wanted: int, places: Sequence[Assignment]) -> int:
    """How many of the wanted places nobody holds."""
    return max(0, wanted - sum(not each.released for each in places))


async def _ask(tx: Transaction, case: Case, lacking: int, now: datetime) -> None:
    held = case.application
    if not lacking:  # whoever is wanted is at work already
        if held.state != "in_evaluation":
            await applications.set_lacking(tx, {case.id: 0})
        return
    task = Task(case.id, held.submitted_at, held.sirens, lacking)
    await ask_further(tx, case.call, [Waiting(task, held.round_id)], {case.id: lacking}, now)


def _about(case: Case, now: datetime) -> dict[str, object]:
    """What every event about the application carries."""
    return {
        "occurred_at": now,
        "call_id": case.call.id,
        "call_version": case.call.version,
        "round_id": case.application.round_id,
        "application_id": case.id,
    }
