"""Owns what each role sees of an application and of a round; it changes nothing.

What a reviewer may not see is never read into the answer, so that no door can leak it (`docs/design.md` §7, Instruct).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from services.review.domain.admissibility import prefill
from services.review.domain.conflicts import READABLE, Assignment, is_needed
from services.review.domain.evaluation import Evaluation
from services.review.domain.refusals import Forbidden, NotYet, Refusal, Unknown
from services.review.domain.scoring import own_score
from services.review.handlers.planning import complete_rounds
from services.review.rules import conditions_of, deposit_of, rubric_of
from services.review.store import applications, assignments, calls, evaluations
from services.review.store.applications import Application
from services.review.store.evaluations import Submitted
from shared.db import Transaction
from shared.events.call import Call
from shared.identity import Staff


async def show_application(tx: Transaction, application_id: str, staff: Staff) -> dict[str, Any] | Refusal:
    """The application as this member of staff may see it. A place on it outweighs every other role."""
    home = await applications.home_of(tx, application_id)
    if home is None:
        return Unknown("application")
    call = await calls.read_call(tx, home[0])
    if call is None:
        return NotYet("The call of this application has not arrived yet.")
    application = await applications.read(tx, application_id)
    places = await assignments.of_application(tx, application_id)
    own = next((p for p in reversed(places) if p.subject == staff.subject and p.state != "removed"), None)
    if own is not None and "reviewer" in staff.roles and await calls.is_listed(tx, staff.subject, call.id):
        return await _for_reviewer(tx, call, application, own)
    if "chair" in staff.roles:
        return {**await _for_officer(tx, call, application), **await _committee(tx, call, application, places)}
    if "officer" in staff.roles:
        return await _for_officer(tx, call, application)
    return Forbidden("This application is not assigned to you.")


def own_work(listed: Mapping[str, Any]) -> dict[str, Any]:
    """One line of a reviewer's list: a place that nobody waits for any more says so."""
    shown = dict(listed)
    shown["needed"] = is_needed(shown["state"], shown.pop("application_state"))
    return shown


async def _for_reviewer(tx: Transaction, call: Call, held: Application, own: Assignment) -> dict[str, Any]:
    """Only the title before declaring; nothing that tells who applies where the call is blind."""
    seen: dict[str, Any] = {
        "application_id": held.application_id,
        "reference": held.reference,
        "call_id": call.id,
        "round_id": held.round_id,
        "title": held.dossier.project.title,
        "slot": own.slot,
        "state": own.state,
        "needed": is_needed(own.state, held.state),
        "conflict": own.kind and {"kind": own.kind, "reason": own.reason, "waived": own.waived},
    }
    if own.state not in READABLE:
        return seen
    seen["project"] = held.dossier.project.model_dump(mode="json")
    if not call.rubric.blind:
        # Names of files tell who wrote them.
        seen["organisation"] = held.dossier.organisation.model_dump(mode="json")
        seen["attachments"] = [each.model_dump(mode="json") for each in held.dossier.attachments]
    seen["rubric"] = [each.model_dump(mode="json") for each in call.rubric.criteria]
    latest = await evaluations.latest(tx, held.application_id, own.slot)
    seen["evaluation"] = latest and {**_content(latest.evaluation), "version": latest.version}
    if own.state == "done":
        others = await evaluations.submitted_on(tx, held.application_id)
        seen["evaluations"] = [_peer(call, each) for each in others if each.slot != own.slot]
    return seen


async def _for_officer(tx: Transaction, call: Call, held: Application) -> dict[str, Any]:
    """The deposit, and every check with the machine's answer beside the officer's."""
    certain = held.round_id in complete_rounds(call, await calls.read_rounds(tx, call.id))
    place = await applications.place_of(tx, held) if certain and held.state != "withdrawn" else None
    machine = prefill(deposit_of(held, place), conditions_of(call))
    answers = held.checks or {}
    return {
        "application_id": held.application_id,
        "reference": held.reference,
        "call_id": call.id,
        "round_id": held.round_id,
        "state": held.state,
        "submitted_at": held.submitted_at,
        **held.dossier.model_dump(mode="json"),
        "admissibility": {
            "outcome": None if held.admitted is None else "admitted" if held.admitted else "inadmissible",
            "checks": [
                {"id": c.id, "text": c.text.model_dump(), "machine": machine[c.id], "answer": answers.get(c.id)}
                for c in call.admissibility
            ],
            "reason": held.admissibility_reason,
            "decided_by": held.decided_by,
            "decided_at": held.decided_at,
        },
    }


async def _committee(tx: Transaction, call: Call, held: Application, places: Sequence[Assignment]) -> dict[str, Any]:
    """What the chair sees beside: places, submitted evaluations, arbitration, score; never marks in the making."""
    arbitration = await evaluations.arbitration_of(tx, held.application_id)
    score = await evaluations.standing_score(tx, held.application_id)
    submitted = await evaluations.submitted_on(tx, held.application_id)
    return {
        "lacking": held.lacking,
        "assignments": [
            {
                "slot": p.slot, "subject": p.subject, "state": p.state, "kind": p.kind, "reason": p.reason,
                "waived": p.waived, "waiver": p.waiver, "released": p.released,
            }
            for p in places
        ],
        "evaluations": [{**_peer(call, each), "subject": each.subject} for each in submitted],
        "arbitration": arbitration
        and {
            **_content(arbitration.evaluation), "arbitrated_by": arbitration.arbitrated_by,
            "arbitrated_at": arbitration.arbitrated_at,
        },
        "score": score and {"revision": score[0], **score[1]},
    }  # fmt: skip


def _peer(call: Call, each: Submitted) -> dict[str, Any]:
    score = str(own_score(rubric_of(call), each.opinion))
    return {"slot": each.slot, **_content(each.evaluation), "score": score, "submitted_at": each.submitted_at}


def _content(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "marks": {name: {"value": mark.value, "reason": mark.reason} for name, mark in evaluation.marks.items()},
        "comment": evaluation.comment,
        "recommendation": evaluation.recommendation,
        "recommended_eur": evaluation.recommended_eur,
    }
