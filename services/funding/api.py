"""Owns funding's HTTP interface for officers and chairs (`docs/design.md` §5): it translates and decides nothing."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query, Response

from services.funding import forms, views
from services.funding.domain.proposal import Proposal
from services.funding.domain.ranking import Move
from services.funding.handlers import asking, deciding, following, proposing
from services.funding.handlers.acting import Act, Refusal
from services.funding.handlers.asking import WhatIf
from services.funding.handlers.following import Recorded
from services.funding.store import awards, proposals, reports
from services.funding.store.awards import AwardRow
from shared.db import Transaction
from shared.events.base import Id
from shared.identity import Staff, require
from shared.service import Db, Now, RequestCause
from shared.web.apidocs import refuses
from shared.web.problems import STATUS_OF, FieldError, Problem

Officer = Annotated[Staff, Depends(require("officer", "chair"))]
router = APIRouter(prefix="/api/v1", tags=["funding"], dependencies=[Depends(require("officer", "chair"))])

FIRST_ID = "00000000-0000-0000-0000-000000000000"

After = Annotated[int, Query(ge=0, le=forms.LARGEST)]

OF_DECISION = refuses("round_unknown", "proposal_unknown", "proposal_stale", "state_conflict")
OF_STEP = refuses("grant_unknown", "state_conflict")

T = TypeVar("T")


def _unless_refused(answer: T | Refusal) -> T:
    """The answer. Raises Problem where the rules refused."""
    if not isinstance(answer, Refusal):
        return answer
    if answer.field is None:
        raise Problem(STATUS_OF[answer.code], answer.code, answer.detail)
    # A wrong field is told as every form's: `validation_failed`, and the field with its own code.
    raise Problem(422, "validation_failed", answer.detail, [FieldError(answer.field, answer.code, answer.detail)])


@router.get("/calls/{call_id}/budget", responses=refuses("call_unknown"))
async def budget(call_id: str, db: Db) -> views.BudgetView:
    """The call's accounts."""
    async with db.transaction() as tx:
        row = await reports.budget(tx, call_id)
        flags = await reports.call_flags(tx, call_id)
    if row is None:
        raise Problem(404, "call_unknown", f"No call is called {call_id}.")
    return views.BudgetView(**row, flags=[views.FlagView(**flag) for flag in flags])


@router.get("/calls/{call_id}/ledger", responses=refuses("call_unknown"))
async def ledger(call_id: str, db: Db, after: After = 0) -> views.LedgerView:
    """The call's ledger, 50 entries a page: what moved, who, when, why."""
    async with db.transaction() as tx:
        known = await reports.budget(tx, call_id)
        rows = await reports.ledger(tx, call_id, after)
    if known is None:
        raise Problem(404, "call_unknown", f"No call is called {call_id}.")
    entries = [views.EntryView(**row) for row in rows]
    return views.LedgerView(
        call_id=call_id, entries=entries, next=entries[-1].number if len(entries) == reports.PAGE else None
    )


@router.get("/calls/{call_id}/grants", responses=refuses("call_unknown"))
async def grants(call_id: str, db: Db, application_id: Id | None = None, after: Id = FIRST_ID) -> views.GrantsView:
    """The call's grants, 50 a page, or the one of an application."""
    async with db.transaction() as tx:
        known = await reports.budget(tx, call_id)
        rows = await awards.of_call(tx, call_id, application_id, after, reports.PAGE)
    if known is None:
        raise Problem(404, "call_unknown", f"No call is called {call_id}.")
    return views.GrantsView(
        call_id=call_id,
        grants=[views.GrantView.of(row) for row in rows],
        next=rows[-1].grant_id if len(rows) == reports.PAGE else None,
    )


@router.get("/rounds/{round_id}/ranking", responses=refuses("round_unknown", "state_conflict"))
async def ranking(
    round_id: str, db: Db, query: Annotated[forms.RankingQuery, Query()]
) -> views.RankingView | views.WhatIfView:
    """The round's ranking by its current proposal, 50 lines a page; before it is ready, what it waits for.

    With `envelope_eur`, `pass_mark` or `weights`: what the decision would be; writes nothing.
    """
    asked = WhatIf(query.envelope_eur, query.pass_mark, query.of_criteria)
    async with db.transaction() as tx:
        if asked.asked:
            proposal = _unless_refused(await asking.what_if(tx, round_id, asked))
            return await _what_if(tx, round_id, proposal, query.after)
        answer = _unless_refused(await asking.ranking(tx, round_id, query.after))
    return views.RankingView.of(answer, reports.PAGE)


async def _what_if(tx: Transaction, round_id: str, proposal: Proposal, after: int) -> views.WhatIfView:
    page = [line for line in proposal.lines if line.rank > after][: reports.PAGE]
    names = await reports.names(tx, [line.application_id for line in page])
    awarded = [line.rank for line in proposal.lines if line.outcome == "awarded"]
    shown = ("reference", "title", "organisation")
    lines = [views.WhatIfLine.of(line, {name: names[line.application_id][name] for name in shown}) for line in page]
    return views.WhatIfView(
        round_id=round_id,
        awarded=len(awarded),
        waitlisted=proposal.count("waitlisted"),
        not_selected=proposal.count("not_selected"),
        awarded_eur=proposal.awarded_eur,
        remaining_eur=proposal.envelope.available_eur,
        line_after_rank=max(awarded, default=None),
        lines=lines,
        next=page[-1].rank if len(page) == reports.PAGE else None,
    )


@router.post("/rounds/{round_id}/proposal", responses=refuses("round_unknown", "state_conflict"))
async def propose(round_id: str, body: forms.ProposalBody, staff: Officer, db: Db, now: Now) -> views.ProposalView:
    """A new proposal, with the chair's moves; the current one again if nothing has changed."""
    moves = [Move(move.application_id, move.before, move.reason) for move in body.moves]
    async with db.transaction() as tx:
        made = _unless_refused(await proposing.ask(tx, round_id, moves, staff.subject, now))
    return views.ProposalView.of(made)


@router.post("/rounds/{round_id}/decision", responses=OF_DECISION)
async def decide(
    round_id: str, body: forms.DecisionBody, staff: Officer, db: Db, now: Now, cause: RequestCause
) -> views.DecisionView:
    """Confirm the round's current proposal; where the call wants it, another person confirms too."""
    async with db.transaction() as tx:
        confirmed = _unless_refused(await deciding.confirm(tx, round_id, body.proposal, staff.subject, now, cause))
    return views.DecisionView.of(confirmed)


@router.get("/proposals/{proposal_id}", responses=refuses("proposal_unknown"), response_model=views.DocumentsView)
async def proposal_documents(proposal_id: Id, db: Db) -> Response:
    """What went into a proposal and what came out: enough to compute it again and compare the hashes."""
    async with db.transaction() as tx:
        made = await proposals.load(tx, proposal_id)
        documents = await proposals.documents(tx, proposal_id)
    if made is None or documents is None:
        raise Problem(404, "proposal_unknown", f"No proposal has the id {proposal_id}.")
    shown = views.ProposalView.of(made).model_dump_json()
    # As they are stored: of 100,000 applications they are tens of megabytes.
    body = f'{{"proposal":{shown},"inputs":{documents[0]},"outcome":{documents[1]}}}'
    return Response(body, media_type="application/json")


Step = Callable[[Transaction, Act], Awaitable[Recorded | Refusal]]


async def _step(db: Db, act: Act, step: Step) -> AwardRow:
    async with db.transaction() as tx:
        return _unless_refused(await step(tx, act)).held


@router.post("/grants/{grant_id}/convention", responses=OF_STEP)
async def sign_convention(
    grant_id: Id, body: forms.ConventionBody, staff: Officer, db: Db, now: Now, cause: RequestCause
) -> views.StepView:
    """The convention was signed: the money is committed."""
    day: date = body.signed_on
    act = Act(now, cause, staff.subject, "convention")
    held = await _step(db, act, lambda tx, act: following.sign(tx, grant_id, day, act))
    return views.StepView(
        grant_id=grant_id, application_id=held.application_id, status="committed", amount_eur=held.amount_eur,
        signed_on=held.signed_on, ledger_entry=held.sign_entry,
    )  # fmt: skip


@router.post("/grants/{grant_id}/start", responses=OF_STEP)
async def start_project(
    grant_id: Id, body: forms.StartBody, staff: Officer, db: Db, now: Now, cause: RequestCause
) -> views.StepView:
    """The project started."""
    act = Act(now, cause, staff.subject, "start")
    held = await _step(db, act, lambda tx, act: following.start(tx, grant_id, body.started_on, act))
    return views.StepView(
        grant_id=grant_id, application_id=held.application_id, status="started", amount_eur=held.amount_eur,
        started_on=held.started_on,
    )  # fmt: skip


@router.post("/grants/{grant_id}/complete", responses=OF_STEP)
async def complete_project(
    grant_id: Id, body: forms.CompletionBody, staff: Officer, db: Db, now: Now, cause: RequestCause
) -> views.StepView:
    """The project ended as agreed."""
    act = Act(now, cause, staff.subject, "completion")
    held = await _step(db, act, lambda tx, act: following.complete(tx, grant_id, body.completed_on, act))
    return views.StepView(
        grant_id=grant_id, application_id=held.application_id, status="completed", amount_eur=held.amount_eur,
        completed_on=held.completed_on,
    )  # fmt: skip


@router.post("/grants/{grant_id}/revoke", responses=OF_STEP)
async def revoke_grant(
    grant_id: Id, body: forms.RevocationBody, staff: Officer, db: Db, now: Now, cause: RequestCause
) -> views.StepView:
    """Take a grant back; the waiting list is served in the same moment."""
    act = Act(now, cause, staff.subject, body.reason)
    held = await _step(db, act, lambda tx, act: following.revoke(tx, grant_id, act))
    return views.StepView(
        grant_id=grant_id, application_id=held.application_id, status="revoked", amount_eur=held.amount_eur,
        reason=held.release_why, ledger_entry=held.release_entry,
    )  # fmt: skip
