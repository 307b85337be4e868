"""Owns intake's pages: calls, laureates, and an application as its applicant sees it; the same views as the API's.

An address with a token opens an application once: the token moves into a cookie and leaves the address.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import RowMapping

from services.intake import views
from services.intake.api import SLUG, AtDesk, held_application
from services.intake.domain.answers import NotPossible, Taken
from services.intake.domain.status import Kind
from services.intake.handlers.answer import answer_offer, withdraw_application
from services.intake.reading import Paragraph
from services.intake.store import calls, facts
from shared.db import Database, Transaction
from shared.service import Db, Now, RequestCause
from shared.telemetry import Cause
from shared.web.languages import PARAMETER, known
from shared.web.pages import Pages
from shared.web.problems import Problem

router = APIRouter(include_in_schema=False)
pages = Pages(Path(__file__).parent / "templates")

COOKIE = "releve_application"
"""Set on the path of one application, so that several open side by side."""
REASON = TypeAdapter(Paragraph)
NOBODY_KNOWS = ("This page does not exist", "The address may be mistyped, or what it named is gone.")
NEEDS_LINK = (
    "Open this page with your own link",
    "The link that you received when you submitted opens your application. This address alone does not.",
)
FOREIGN_FORM = ("This was not sent from your page", "Open your application's page and use its buttons.")

Command = Callable[[Transaction, RowMapping, datetime, Cause], Awaitable[Taken | NotPossible]]
After = Annotated[int, Query(ge=0, le=2**31 - 1)]


@router.get("/")
@router.get("/calls")
async def home(
    request: Request, db: Db, now: Now, after: Annotated[str, Query(pattern="^[a-z0-9-]{0,64}$")] = ""
) -> Response:
    """The calls and their dates."""
    async with db.transaction() as tx:
        rows = await calls.list_calls(tx, after)
        rounds = await calls.rounds_of(tx, [row["call_id"] for row in rows])
    return pages.render(request, "home.html", page=views.calls_page(rows, rounds, now))


@router.get("/calls/{call_id}")
async def call(request: Request, call_id: str, db: Db, now: Now) -> Response:
    """One call: what it is for, who may apply, when."""
    async with db.transaction() as tx:
        row = await calls.one_call(tx, call_id) if SLUG.fullmatch(call_id) else None
        rounds = await calls.rounds_of(tx, [call_id]) if row else []
    if row is None:
        return pages.problem(request, HTTPStatus.NOT_FOUND, *NOBODY_KNOWS)
    told = [views.round_view(each, now) for each in rounds]
    document = row["document"]
    return pages.render(request, "call.html", call=document, rounds=told, time_zone=document["time_zone"])


@router.get("/calls/{call_id}/laureates")
async def laureates(request: Request, call_id: str, db: Db, after: After = 0) -> Response:
    """Who won, as far as it was announced."""
    async with db.transaction() as tx:
        row = await calls.one_call(tx, call_id) if SLUG.fullmatch(call_id) else None
        found = await calls.laureates_of(tx, call_id, after) if row else []
    if row is None:
        return pages.problem(request, HTTPStatus.NOT_FOUND, *NOBODY_KNOWS)
    page = views.laureates_page(call_id, row, found)
    return pages.render(request, "laureates.html", call=row["document"], page=page, after=after)


async def _opened(request: Request, application_id: str, db: Db, desk: AtDesk) -> RowMapping | Response:
    """The application that the cookie opens, or the page that says why not."""
    try:
        return await held_application(db, desk, application_id, request.cookies.get(COOKIE))
    except Problem as problem:
        return _closed_door(request, problem)


def _closed_door(request: Request, problem: Problem) -> Response:
    return pages.problem(request, problem.status, *NEEDS_LINK)


@router.get("/applications/{application_id}")
async def application(
    request: Request, application_id: str, db: Db, desk: AtDesk, now: Now, token: Annotated[str, Query()] = ""
) -> Response:
    """An application's state in plain words, its timeline, and what can be done."""
    if token:
        return await _let_in(request, application_id, db, desk, token)
    held = await _opened(request, application_id, db, desk)
    return held if isinstance(held, Response) else await _application_page(request, held, db, desk, now)


async def _let_in(request: Request, application_id: str, db: Database, desk: AtDesk, token: str) -> Response:
    try:
        await held_application(db, desk, application_id, token)
    except Problem as problem:
        return _closed_door(request, problem)
    path = f"/applications/{application_id}"
    language = known(request.query_params.get(PARAMETER))
    response = RedirectResponse(f"{path}?{PARAMETER}={language}" if language else path, HTTPStatus.SEE_OTHER)
    # Lax, not strict: people come from the link in their mail.
    response.set_cookie(
        COOKIE, token, path=path, httponly=True, samesite="lax", secure=request.url.scheme == "https"
    )  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return response


async def _application_page(
    request: Request,
    held: RowMapping,
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
        request, "application.html", status=status, headers={"Cache-Control": "no-store"},
        application=views.application_view(held, learnt, now), call=of, announce_at=held["announce_at"],
        announced=held["announced_at"] is not None, time_zone=of.time_zone, **context,
    )  # fmt: skip


@router.post("/applications/{application_id}/withdraw")
async def withdraw(
    request: Request, held: Annotated[Any, Depends(_opened)], db: Db, desk: AtDesk, now: Now, cause: RequestCause,
    reason: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Withdraw with a reason."""

    async def command(tx: Transaction, row: RowMapping, at: datetime, why: Cause) -> Taken | NotPossible:
        return await withdraw_application(tx, row, REASON.validate_python(reason), at, why)

    try:
        return await _done(request, held, db, desk, now, cause, command)
    except ValidationError:
        wrong = {"reason": reason, "reason_missing": True}
        return await _application_page(request, held, db, desk, now, status=HTTPStatus.UNPROCESSABLE_ENTITY, **wrong)


@router.post("/applications/{application_id}/accept")
async def accept(
    request: Request, held: Annotated[Any, Depends(_opened)], db: Db, desk: AtDesk, now: Now, cause: RequestCause
) -> Response:
    """Accept the grant that is offered."""

    async def command(tx: Transaction, row: RowMapping, at: datetime, why: Cause) -> Taken | NotPossible:
        return await answer_offer(tx, row, Kind.ACCEPTED, at, why)

    return await _done(request, held, db, desk, now, cause, command)


@router.post("/applications/{application_id}/decline")
async def decline(
    request: Request, held: Annotated[Any, Depends(_opened)], db: Db, desk: AtDesk, now: Now, cause: RequestCause
) -> Response:
    """Decline the grant that is offered."""

    async def command(tx: Transaction, row: RowMapping, at: datetime, why: Cause) -> Taken | NotPossible:
        return await answer_offer(tx, row, Kind.DECLINED, at, why)

    return await _done(request, held, db, desk, now, cause, command)


async def _done(
    request: Request, held: RowMapping | Response, db: Database, desk: AtDesk, now: datetime, cause: Cause,
    command: Command,
) -> Response:  # fmt: skip
    """Obey a form of the application's own page, then show that page again."""
    if not sent_from_our_page(request):
        return pages.problem(request, HTTPStatus.FORBIDDEN, *FOREIGN_FORM)
    if isinstance(held, Response):
        return held
    async with db.transaction() as tx:
        decided = await command(tx, held, now, cause)
    if isinstance(decided, NotPossible):
        return await _application_page(request, held, db, desk, now, status=HTTPStatus.CONFLICT, too_late=True)
    return RedirectResponse(f"/applications/{held['application_id']}", HTTPStatus.SEE_OTHER)


def sent_from_our_page(request: Request) -> bool:
    """Whether a form was sent from a page of this address, not from another site in the person's name.

    Every browser of the last years says so itself; older ones name the page's origin. Who says neither is refused.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host", "?")
