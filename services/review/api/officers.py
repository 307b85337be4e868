"""Owns the chair's and officers' interface: requests to commands (`docs/design.md` §5); it decides nothing."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends

from services.review import progress
from services.review.api.edges import OF_COMMAND, ApplicationId, OnApplications, answered
from services.review.api.forms import AdmissibilityForm, ArbitrationForm, ReviewerForm, SubjectForm
from services.review.handlers import chairing, instructing
from shared.identity import Staff, require
from shared.service import Db, Now, RequestCause
from shared.web.apidocs import refuses

router = APIRouter(prefix="/api/v1", tags=["officers"])

AsChair = Annotated[Staff, Depends(require("chair"))]
AsOfficer = Annotated[Staff, Depends(require("officer"))]
AsEither = Annotated[Staff, Depends(require("officer", "chair"))]
ApplicationState = Literal[
    "to_check", "admitted", "in_evaluation", "to_assign", "to_arbitrate", "scored", "inadmissible", "withdrawn"
]
Listed = Annotated[list[ReviewerForm], Body(max_length=1000)]


@router.put("/calls/{call_id}/reviewers", responses=refuses("call_unknown"))
async def set_reviewers(call_id: str, body: Listed, staff: AsChair, db: Db, now: Now) -> dict[str, Any]:
    """Replace the call's list of reviewers."""
    async with db.transaction() as tx:
        reviewers = [each.reviewer() for each in body]
        return answered(await chairing.set_reviewers(tx, call_id, reviewers, staff.subject, now))


@router.get("/rounds/{round_id}/progress", responses=refuses("round_unknown"))
async def show_progress(
    round_id: str, staff: AsEither, db: Db, state: ApplicationState | None = None, after: UUID | None = None
) -> dict[str, Any]:
    """What a round waits for; its applications in a state (by default all that are not settled), 50 a page."""
    async with db.transaction() as tx:
        return answered(await progress.show_progress(tx, round_id, state, str(after) if after else None))


@router.post("/applications/{application_id}/admissibility", responses=OF_COMMAND)
async def check_admissibility(
    application_id: ApplicationId,
    body: AdmissibilityForm,
    staff: AsOfficer,
    commands: OnApplications,
    cause: RequestCause,
    now: Now,
) -> dict[str, Any]:
    """Answer every admissibility check."""
    return await commands.run_apart(
        lambda tx, *, alone: instructing.check_admissibility(
            tx, application_id, body.checks, body.reason, staff.subject, now, cause, alone=alone
        )
    )


@router.post("/applications/{application_id}/assignments", responses=OF_COMMAND)
async def assign(application_id: ApplicationId, body: SubjectForm, staff: AsChair, db: Db, now: Now) -> dict[str, Any]:
    """Give an open place to a reviewer by hand."""
    async with db.transaction() as tx:
        return answered(await chairing.assign(tx, application_id, body.subject, body.reason, staff.subject, now))


@router.post("/applications/{application_id}/waive", responses=OF_COMMAND)
async def waive_conflict(application_id: ApplicationId, body: SubjectForm, staff: AsChair, db: Db) -> dict[str, Any]:
    """Let a declared soft conflict pass."""
    async with db.transaction() as tx:
        return answered(await chairing.waive_conflict(tx, application_id, body.subject, body.reason, staff.subject))


@router.post("/applications/{application_id}/arbitrate", responses=OF_COMMAND)
async def arbitrate(
    application_id: ApplicationId, body: ArbitrationForm, staff: AsChair, db: Db, cause: RequestCause, now: Now
) -> dict[str, Any]:
    """Decide the marks where opinions stay apart."""
    async with db.transaction() as tx:
        return answered(await chairing.arbitrate(tx, application_id, body.evaluation(), staff.subject, now, cause))
