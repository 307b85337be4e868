"""Owns the answer to "what is this round still waiting for?", with names and ids; it changes nothing."""

from typing import Any

from services.review.domain.refusals import Unknown
from services.review.store import calls, lists
from services.review.store.calls import Round
from services.review.store.lists import Standing
from shared.db import Transaction
from shared.events.call import Call

UNSETTLED = ("to_check", "admitted", "in_evaluation", "to_assign", "to_arbitrate")
LACKS = {
    "to_check": "admissibility",
    "admitted": "plan",
    "in_evaluation": "evaluations",
    "to_assign": "reviewers",
    "to_arbitrate": "arbitration",
}
"""What an application in that state waits for."""


async def show_progress(
    tx: Transaction, round_id: str, state: str | None, after: str | None
) -> dict[str, Any] | Unknown:
    """A round's counts, what it waits for, and a page of the applications in a state (by default: all unsettled)."""
    known = await calls.read_round(tx, round_id)
    if known is None:
        return Unknown("round")
    call = await calls.read_call(tx, known.call_id)
    counts = await lists.counts_of(tx, round_id)
    listed = bool(await calls.reviewers_of(tx, known.call_id))
    standing, following = await lists.standing_in(tx, round_id, (state,) if state else UNSETTLED, after)
    return {
        "call_id": known.call_id,
        "round_id": round_id,
        "received": known.received,
        "submitted": known.closed_count,
        "closed_at": known.closed_at,
        "planned_at": known.planned_at,
        "waits_for": waits_for(call, known, counts, listed=listed),
        "counts": counts,
        "applications": [_item(each) for each in standing],
        "next": following,
    }


def waits_for(call: Call | None, known: Round, counts: dict[str, int], *, listed: bool) -> list[str]:
    """What a round lacks until every member is settled, most basic first; empty when nothing."""
    lacks = [] if call and known.closes_at else ["call"]
    if known.closed_count is None:
        lacks.append("closing")
    elif known.received != known.closed_count:
        lacks.append("applications")
    elif not known.matched:
        lacks.append("matching_applications")
    lacks += [] if listed else ["reviewer_list"]
    return lacks + [what for state, what in LACKS.items() if counts.get(state)]


def _item(each: Standing) -> dict[str, Any]:
    awaited = [place for place in each.places if place["state"] != "done"]
    missing = [LACKS[each.state]] if each.state in LACKS else []
    if each.state == "to_assign" and awaited:
        missing.append("evaluations")
    if any(place["state"] == "conflict" for place in awaited):
        missing.append("waiver")
    return {
        "application_id": each.application_id,
        "reference": each.reference,
        "title": each.title,
        "state": each.state,
        "submitted_at": each.submitted_at,
        "revision": each.revision,
        "missing": missing,
        "lacking": each.lacking,
        "awaited": awaited,
    }
