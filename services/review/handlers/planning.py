"""Owns what happens when the last missing fact comes: a round matches, admits by itself, is planned; it reads no HTTP.

All of it runs in the transaction of that fact, whichever it is, under the locks of the call's rounds, so that any
order of facts ends in the same plan (`docs/design.md` §7, Instruct).
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.review.domain.admissibility import Admitted, admits_by_itself
from services.review.domain.assignment import pick, plan
from services.review.rules import conditions_of
from services.review.store import applications, assignments, calls
from services.review.store.applications import Application, Unchecked, Waiting
from services.review.store.assignments import NewPlace, Taken
from services.review.store.calls import Round
from shared.db import Transaction
from shared.events.call import Call
from shared.events.review import ApplicationAdmitted
from shared.telemetry import Cause


async def advance(
    tx: Transaction,
    call: Call,
    rounds: Sequence[Round],
    sirets: Collection[str] | None,
    now: datetime,
    cause: Cause,
) -> None:
    """Do what the facts of a call now allow. `rounds` are all of the call's, locked.

    `sirets` names the organisations whose other applications may have become admissible; None means any.
    """
    newly = await calls.match_rounds(tx, [each.round_id for each in rounds if each.closed_at and not each.matched])
    rounds = [replace(each, matched=each.matched or each.round_id in newly) for each in rounds]
    if newly or sirets is None or sirets:
        await _admit_by_machine(tx, call, complete_rounds(call, rounds), None if newly else sirets, now, cause)
    if any(_awaits_plan(call, each) for each in rounds) and await calls.reviewers_of(tx, call.id):
        for each in rounds:
            await plan_round(tx, call, each, now)


def complete_rounds(call: Call, rounds: Sequence[Round]) -> set[str]:
    """The rounds in which every application's place among its organisation's is certain.

    An earlier round may still bring an earlier application of the same organisation, where the call counts them.
    """
    known = [each for each in rounds if each.closes_at is not None]
    open_since = min((each.closes_at for each in known if each.closes_at and not each.matched), default=None)
    counts = conditions_of(call).counts_organisations
    return {
        each.round_id
        for each in known
        if each.matched and not (counts and open_since and each.closes_at and open_since < each.closes_at)
    }


async def _admit_by_machine(
    tx: Transaction,
    call: Call,
    round_ids: Collection[str],
    sirets: Collection[str] | None,
    now: datetime,
    cause: Cause,
) -> None:
    conditions = conditions_of(call)
    if not round_ids or any(check.machine is None for check in conditions.checks):
        return
    waiting = await applications.to_check(tx, round_ids, sirets, places=conditions.counts_organisations)
    decided = [(each, admits_by_itself(each.deposit, conditions)) for each in waiting]
    admitted = [(each, decision) for each, decision in decided if decision is not None]
    if not admitted:
        return
    await applications.decide(tx, [(a.application_id, True, d.checks, d.reason) for a, d in admitted], None, now)
    for each, decision in admitted:
        tx.outbox.record(admission_event(call, each, decision, now), cause)


def admission_event(
    call: Call, admitted: Application | Unchecked, decision: Admitted, now: datetime
) -> ApplicationAdmitted:
    """The event of an admission, by the machine or by an officer."""
    return ApplicationAdmitted(
        occurred_at=now, call_id=call.id, call_version=call.version, round_id=admitted.round_id,
        application_id=admitted.application_id, checks=dict(decision.checks),
    )  # fmt: skip


async def plan_round(tx: Transaction, call: Call, known: Round, now: datetime) -> None:
    """Plan a ranked round if this completed it, or a rolling round's admitted applications; `known` is locked.

    Nothing can be planned before the call has a list of reviewers: the first list plans then.
    """
    if not await _may_be_planned(tx, call, known):
        return
    reviewers = await calls.reviewers_of(tx, call.id)
    if not reviewers:
        return
    places = call.rubric.reviewers_per_application
    tasks = [replace(each.task, places=places) for each in await applications.admitted_in(tx, known.round_id)]
    loads = await assignments.loads_in(tx, [known.round_id])
    planned = await asyncio.to_thread(plan, tasks, reviewers, loads[known.round_id])
    new = [
        NewPlace(application_id, known.round_id, slot, subject)
        for application_id, subjects in planned.items()
        for slot, subject in enumerate(subjects, start=1)
    ]
    await assignments.add(tx, call.id, new, now)
    await applications.set_lacking(tx, {task: places - len(subjects) for task, subjects in planned.items()})
    if call.allocation == "ranked":
        await calls.mark_planned(tx, known.round_id, now)


def _awaits_plan(call: Call, known: Round) -> bool:
    """Whether a round's applications, as they are admitted, are to be planned now or may be some day soon."""
    return call.allocation == "rolling" or bool(known.matched and not known.planned_at and known.closes_at)


async def others_plan(tx: Transaction, call: Call, known: Round, application_id: str) -> bool:
    """Whether an application's admissibility may be decided without a plan: there is none to make yet, or others will.

    Another that nobody has decided is locked: whoever decides it comes after this transaction, and sees what it did. Of
    those who decide the last ones at once, none finds such a one, and each must have the round for itself.
    """
    if not _awaits_plan(call, known):
        return True
    return call.allocation == "ranked" and await applications.hold_undecided(tx, known.round_id, application_id)


async def _may_be_planned(tx: Transaction, call: Call, known: Round) -> bool:
    if not _awaits_plan(call, known):
        return False
    if call.allocation == "rolling":
        return await applications.any_in(tx, known.round_id, "admitted")
    return not await applications.any_in(tx, known.round_id, "to_check")


async def ask_further(
    tx: Transaction, call: Call, waiting: Sequence[Waiting], lacking: Mapping[str, int], now: datetime
) -> None:
    """After planning: each lacking place goes to the least-loaded who may take it; one nobody may take stays."""
    reviewers = await calls.reviewers_of(tx, call.id)
    loads = await assignments.loads_in(tx, {each.round_id for each in waiting})
    taken = await assignments.taken_on(tx, lacking)
    new, left = [], dict(lacking)
    for each in sorted(waiting, key=lambda w: (w.task.submitted_at, w.task.application_id)):
        application_id, load = each.task.application_id, loads[each.round_id]
        before = taken.get(application_id, Taken())
        task, slot = replace(each.task, barred=before.barred), before.last_slot
        while left[application_id] and (chosen := pick(task, reviewers, load)) is not None:
            slot += 1
            new.append(NewPlace(application_id, each.round_id, slot, chosen))
            load[chosen] = load.get(chosen, 0) + 1
            left[application_id] -= 1
            task = replace(task, barred=task.barred | {chosen})
    await assignments.add(tx, call.id, new, now)
    await applications.set_lacking(tx, left)


def by_call(rounds: Sequence[Round]) -> dict[str, list[Round]]:
    """Rounds grouped by their call."""
    grouped: dict[str, list[Round]] = defaultdict(list)
    for each in rounds:
        grouped[each.call_id].append(each)
    return grouped
