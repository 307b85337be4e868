"""Owns the reviewers' interface: requests to commands (`docs/design.md` §5); it decides nothing."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from services.review import reading
from services.review.api.edges import OF_COMMAND, ApplicationId, OnApplications, answered
from services.review.api.forms import ConflictForm, EvaluationForm
from services.review.handlers import evaluating
from services.review.store import calls, lists
from shared.events.base import STORABLE
from shared.identity import Staff, require
from shared.service import Db, Now, RequestCause
from shared.web.apidocs import refuses
from shared.web.problems import Problem

router = APIRouter(prefix="/api/v1", tags=["reviewers"])

AsReviewer = Annotated[Staff, Depends(require("reviewer"))]
AsStaff = Annotated[Staff, Depends(require("reviewer", "officer", "chair"))]
Slug = Annotated[Annotated[str, STORABLE] | None, Query(max_length=64)]


@router.get("/assignments")
async def list_assignments(
    staff: AsReviewer,
    db: Db,
    call_id: Slug = None,
    round_id: Slug = None,
    state: Literal["to_declare", "to_do", "in_progress", "done", "conflict"] | None = None,
    after: UUID | None = None,
) -> dict[str, Any]:
    """One's own assignments, 50 a page; `after` is the `next` of the page before.

    `needed`: whether the application still waits for them.
    """
    async with db.transaction() as tx:
        if not await calls.is_listed(tx, staff.subject, call_id):
            raise Problem(403, "forbidden", "You are not a listed reviewer.")
        wanted = lists.Filters(call_id, round_id, state)
        page = await lists.own_assignments(tx, staff.subject, wanted, str(after) if after else None)
    return {"items": [reading.own_work(each) for each in page.items], "next": page.next}


@router.get("/applications/{application_id}", responses=refuses("application_unknown"))
async def show_application(application_id: ApplicationId, staff: AsStaff, db: Db) -> dict[str, Any]:
    """An application as the role of who asks may see it."""
    async with db.transaction() as tx:
        return answered(await reading.show_application(tx, application_id, staff))


@router.post("/applications/{application_id}/conflict", responses=OF_COMMAND)
async def declare_conflict(
    application_id: ApplicationId,
    body: ConflictForm,
    staff: AsReviewer,
    commands: OnApplications,
    cause: RequestCause,
    now: Now,
) -> dict[str, Any]:
    """Declare whether one has a conflict of interest, before seeing more than the title, or later."""
    return await commands.run(
        application_id,
        lambda tx, *, alone: evaluating.declare_conflict(
            tx, application_id, staff.subject, body.kind, body.reason, now, cause, alone=alone
        ),
    )


@router.put("/applications/{application_id}/evaluation", responses=OF_COMMAND)
async def save_evaluation(
    application_id: ApplicationId, body: EvaluationForm, staff: AsReviewer, commands: OnApplications, now: Now
) -> dict[str, Any]:
    """Keep one's marks; every version is kept."""
    evaluation = body.evaluation()
    return await commands.run(
        application_id,
        lambda tx, *, alone: evaluating.save_evaluation(
            tx, application_id, staff.subject, evaluation, now, alone=alone
        ),
    )


@router.post("/applications/{application_id}/evaluation/submit", responses=OF_COMMAND)
async def submit_evaluation(
    application_id: ApplicationId, staff: AsReviewer, commands: OnApplications, cause: RequestCause, now: Now
) -> dict[str, Any]:
    """Submit and lock one's latest marks."""
    return await commands.run(
        application_id,
        lambda tx, *, alone: evaluating.submit_evaluation(tx, application_id, staff.subject, now, cause, alone=alone),
    )
