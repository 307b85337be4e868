"""Owns an application's page as its applicant sees it: its state in plain words, and what can be done about it.

An address with a token opens an application once: the token moves into a cookie and leaves the address.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError

from services.intake import views
from services.intake.api import AtDesk, held_application
from services.intake.domain.answers import NotPossible, Taken
from services.intake.domain.status import Kind, answer_by, lapsed_step
from services.intake.handlers.answer import answer_offer, withdraw_application
from services.intake.pages.doors import COOKIE, let_in, opened, sent_from_our_page
from services.intake.pages.layout import FOREIGN_FORM, NO_STORE, pages
from services.intake.pages.sign_in import closed_door
from services.intake.reading import Paragraph
from services.intake.store import facts
from shared.db import Database, Row, Transaction
from shared.service import Db, Now, RequestCause
from shared.telemetry import Cause
from shared.web.problems import Problem

router = APIRouter()

REASON = TypeAdapter(Paragraph)

Command = Callable[[Transaction, Row, datetime, Cause], Awaitable[Taken | NotPossible]]
Held = Annotated[Any, Depends(opened)]
"""The application that a cookie opens, or the Problem that none does."""


@router.get("/applications/{application_id}")
async def application(
    request: Request, application_id: str, held: Held, db: Db, desk: AtDesk, now: Now,
    token: Annotated[str, Query()] = "",
) -> Response:  # fmt: skip
    """An application's state in plain words, its timeline, and what can be done."""
    if token:
        return await _by_token(request, application_id, db, desk, token)
    if isinstance(held, Problem):
        return closed_door(request, held)
    return await _application_page(request, held, db, desk, now)


async def _by_token(request: Request, application_id: str, db: Database, desk: AtDesk, token: str) -> Response:
    try:
        await held_application(db, desk, application_id, token)
    except Problem as problem:
        return closed_door(request, problem)
    path = f"/applications/{application_id}"
    return let_in(request, path, {COOKIE: (token, path, None)})


async def _application_page(
    request: Request,
    held: Row,
    db: Database,
    desk: AtDesk,
    now: datetime,
    *,
    status: int = HTTPStatus.OK,
    **shown: Any,
) -> Response:
    async with db.transaction() as tx:
        learnt = (await facts.facts_of(tx, [held["application_id"]]))[held["application_id"]]
        of = await desk.calls.version(tx, held["call_id"], held["call_version"])
    context = {"reason": "", "reason_missing": False, "too_late": False} | shown
    return pages.render(
        request, "application.html", status=status, headers=NO_STORE, address=f"/applications/{held['application_id']}",
        application=views.application_view(held, learnt, now), call=of, announce_at=held["announce_at"],
        announced=held["announced_at"] is not None, lapsed_step=lapsed_step(learnt), answer_by=answer_by(learnt),
        time_zone=of.time_zone, **context,
    )  # fmt: skip


@router.post("/applications/{application_id}/withdraw")  # noqa: FAST003 - `Held` reads it
async def withdraw(
    request: Request, held: Held, db: Db, desk: AtDesk, now: Now, cause: RequestCause,
    reason: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Withdraw with a reason."""

    async def command(tx: Transaction, row: Row, at: datetime, why: Cause) -> Taken | NotPossible:
        return await withdraw_application(tx, row, REASON.validate_python(reason), at, why)

    try:
        return await _done(request, held, db, desk, now, cause, command)
    except ValidationError:
        wrong = {"reason": reason, "reason_missing": True}
        return await _application_page(request, held, db, desk, now, status=HTTPStatus.UNPROCESSABLE_ENTITY, **wrong)


@router.post("/applications/{application_id}/accept")  # noqa: FAST003 - `Held` reads it
async def accept(request: Request, held: Held, db: Db, desk: AtDesk, now: Now, cause: RequestCause) -> Response:
    """Accept the grant that is offered."""

    async def command(tx: Transaction, row: Row, at: datetime, why: Cause) -> Taken | NotPossible:
        return await answer_offer(tx, row, Kind.ACCEPTED, at, why)

    return await _done(request, held, db, desk, now, cause, command)


@router.post("/applications/{application_id}/decline")  # noqa: FAST003 - `Held` reads it
async def decline(request: Request, held: Held, db: Db, desk: AtDesk, now: Now, cause: RequestCause) -> Response:
    """Decline the grant that is offered."""

    async def command(tx: Transaction, row: Row, at: datetime, why: Cause) -> Taken | NotPossible:
        return await answer_offer(tx, row, Kind.DECLINED, at, why)

    return await _done(request, held, db, desk, now, cause, command)


async def _done(
    request: Request, held: Row | Problem, db: Database, desk: AtDesk, now: datetime, cause: Cause,
    command: Command,
) -> Response:  # fmt: skip
    """Obey a form of the application's own page, then show that page again."""
    if not sent_from_our_page(request):
        return pages.problem(request, HTTPStatus.FORBIDDEN, *FOREIGN_FORM)
    if isinstance(held, Problem):
        return closed_door(request, held)
    async with db.transaction() as tx:
        decided = await command(tx, held, now, cause)
    if isinstance(decided, NotPossible):
        return await _application_page(request, held, db, desk, now, status=HTTPStatus.CONFLICT, too_late=True)
    return RedirectResponse(f"/applications/{held['application_id']}", HTTPStatus.SEE_OTHER)
