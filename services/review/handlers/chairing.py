"""Owns the chair's commands: the list of reviewers, assignments by hand, waivers, arbitration."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.review.domain.assignment import Reviewer, Task, may_take, sirens_of
from services.review.domain.conflicts import Assignment, needs_nobody, waive
from services.review.domain.evaluation import Evaluation, wrong_to_submit
from services.review.domain.refusals import Forbidden, Invalid, NotNow, Refusal, Unknown, WrongField
from services.review.handlers.cases import Case, open_case
from services.review.handlers.planning import ask_further, plan_round
from services.review.handlers.scoring import settle
from services.review.rules import frame_of
from services.review.store import applications, assignments, calls, evaluations
from services.review.store.assignments import NewPlace, Why
from shared.db import Transaction
from shared.events.call import Call
from shared.telemetry import Cause


async def set_reviewers(
    tx: Transaction, call_id: str, reviewers: Sequence[Reviewer], chair: str, now: datetime
) -> dict[str, Any] | Refusal:
    """Replace the list. Open places of who left it, or may not keep them, go to others; submitted evaluations stay."""
    call = await calls.lock_call(tx, call_id)
    if call is None:
        return Unknown("call")
    if errors := _wrong_in_list(call, reviewers):
        return Invalid(errors)
    ordered = sorted(reviewers, key=lambda each: each.subject)
    before = await calls.reviewers_of(tx, call_id)
    entries = [
        {"subject": r.subject, "organisations": sorted(r.organisations), "themes": sorted(r.themes)} for r in ordered
    ]
    if before != ordered:
        await calls.list_reviewers(tx, call_id, json.dumps(entries), chair, now)
        rounds = await calls.lock_rounds(tx, [call_id])
        await _reassign(tx, call, before, {each.subject: each for each in ordered}, now)
        for each in rounds:
            await plan_round(tx, call, each, now)
    return {"call_id": call_id, "reviewers": entries}


def _wrong_in_list(call: Call, reviewers: Sequence[Reviewer]) -> tuple[WrongField, ...]:
    themes, seen, errors = {theme.id for theme in call.themes}, set(), []
    for index, each in enumerate(reviewers):
        if each.subject in seen:
            errors.append(WrongField(f"{index}.subject", "This person stands in the list twice."))
        seen.add(each.subject)
        if unknown := sorted(each.themes - themes):
            errors.append(WrongField(f"{index}.themes", f"The call has no theme {unknown[0]}.", "theme_unknown"))
    return tuple(errors)


async def _reassign(
    tx: Transaction, call: Call, before: Sequence[Reviewer], listed: dict[str, Reviewer], now: datetime
) -> None:
    freed: dict[tuple[str, int], Why] = {}
    for place in await assignments.open_places_of(tx, call.id, {each.subject for each in before}):
        reviewer = listed.get(place.subject)
        task = Task(place.application_id, now, sirens_of(place.siret, place.partner_siret), 1)
        if reviewer is None:
            freed[place.application_id, place.slot] = "removed"
        elif not may_take(reviewer, task):
            freed[place.application_id, place.slot] = "own_organisation"
    await assignments.release(tx, freed, now)
    more = Counter(application_id for application_id, _ in freed)
    waiting = await applications.waiting_in(tx, call.id, more)
    lacking = {w.task.application_id: w.task.places + more[w.task.application_id] for w in waiting}
    if waiting:
        await ask_further(tx, call, waiting, lacking, now)


async def assign(
    tx: Transaction, application_id: str, subject: str, reason: str, chair: str, now: datetime
) -> dict[str, Any] | Refusal:
    """Give an open place by hand: one that nobody could take, or one whose soft conflict is not waived."""
    case = await open_case(tx, application_id)
    if not isinstance(case, Case):
        return case
    held = case.place_of(subject)
    answer = {"application_id": case.id, "subject": subject, "reason": reason}
    if held is not None and not held.released:
        return {**answer, "slot": held.slot}
    if not reason:
        return Invalid((WrongField("reason", "An assignment by hand needs a reason."),))
    reviewer = next((r for r in await calls.reviewers_of(tx, case.call.id) if r.subject == subject), None)
    if reviewer is None:
        return Invalid((WrongField("subject", "This person is not in the call's list of reviewers."),))
    barred = frozenset(each.subject for each in case.places if each.state != "removed")
    task = Task(case.id, case.application.submitted_at, case.application.sirens, 1, barred=barred)
    if not may_take(reviewer, task):
        return NotNow("A conflict of interest stands against this assignment.")
    return await _give_place(tx, case, answer, chair, now)


async def _give_place(
    tx: Transaction, case: Case, answer: dict[str, Any], chair: str, now: datetime
) -> dict[str, Any] | NotNow:
    in_the_way = next((each for each in case.places if _awaits_waiver(each)), None)
    if case.application.lacking:
        await applications.set_lacking(tx, {case.id: case.application.lacking - 1})
    elif in_the_way is not None:
        await assignments.release(tx, {(case.id, in_the_way.slot): "replaced"}, now)
    else:
        return NotNow("No place is open on this application.")
    slot = len(case.places) + 1
    place = NewPlace(case.id, case.application.round_id, slot, answer["subject"])
    await assignments.add(tx, case.call.id, [place], now, chair, answer["reason"])
    return {**answer, "slot": slot}


def _awaits_waiver(place: Assignment) -> bool:
    return place.state == "conflict" and place.kind == "soft" and not place.released


async def waive_conflict(
    tx: Transaction, application_id: str, subject: str, reason: str, chair: str
) -> dict[str, Any] | Refusal:
    """Let a declared soft conflict pass, in writing."""
    case = await open_case(tx, application_id)
    if not isinstance(case, Case):
        return case
    place = case.place_of(subject)
    answer = {"application_id": case.id, "subject": subject, "reason": reason}
    if place is not None and place.waived and place.waiver == reason:
        return {**answer, "slot": place.slot}
    if refused := needs_nobody(case.application.state):
        return refused
    state = waive(place, chair, reason)
    if not isinstance(state, str):
        return state
    assert place is not None  # noqa: S101 - the rule refuses where there is none
    await assignments.save_waiver(tx, case.id, place.slot, chair, reason, state)
    return {**answer, "slot": place.slot}


async def arbitrate(
    tx: Transaction, application_id: str, evaluation: Evaluation, chair: str, now: datetime, cause: Cause
) -> dict[str, Any] | Refusal:
    """Decide where opinions stay apart: the chair's marks replace the means; `comment` is the reason."""
    case = await open_case(tx, application_id)
    if not isinstance(case, Case):
        return case
    standing = await evaluations.arbitration_of(tx, case.id)
    if standing is not None and standing.evaluation == evaluation:
        return _arbitrated(case.id, evaluation, standing.arbitrated_at)
    errors = wrong_to_submit(evaluation, frame_of(case.call, case.application))
    if not evaluation.comment:
        errors = (*errors, WrongField("reason", "An arbitration needs a reason."))
    if errors:
        return Invalid(errors)
    if case.application.state != "to_arbitrate":
        return NotNow("This application does not wait for an arbitration.")
    if case.place_of(chair) is not None:
        return Forbidden("Who had a place on an application does not arbitrate it.")
    await evaluations.arbitrate(tx, case.id, evaluation, chair, now)
    await settle(tx, case, now, cause)
    return _arbitrated(case.id, evaluation, now)


def _arbitrated(application_id: str, evaluation: Evaluation, at: datetime) -> dict[str, Any]:
    return {
        "application_id": application_id,
        "marks": {name: {"value": m.value, "reason": m.reason} for name, m in evaluation.marks.items()},
        "recommended_eur": evaluation.recommended_eur,
        "reason": evaluation.comment,
        "arbitrated_at": at,
    }
