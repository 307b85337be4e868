"""Owns signing in by a link in a mail, and the list of a person's own applications behind it.

The link's page has a button, so that a mail scanner that follows links uses none up.
"""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from email_validator import EmailNotValidError, validate_email
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from services.intake import views
from services.intake.handlers.sign_in import Times, open_session, secret_sha256, send_link
from services.intake.pages.doors import SESSION, applicant_of, let_in, sent_from_our_page
from services.intake.pages.layout import FOREIGN_FORM, NO_STORE, pages
from services.intake.settings import IntakeSettings
from services.intake.store import applications, facts, sign_ins
from shared.service import Db, Now, RequestCause, Running
from shared.web.problems import Problem

router = APIRouter()

LONGEST_ADDRESS = 254
"""RFC 5321, as amended by its erratum 1690."""


def closed_door(request: Request, problem: Problem) -> Response:
    """An application's page for who has no key to it: how to get one, and nothing about the application."""
    address = "" if request.method == "GET" else "/sign-in"
    return _asking(request, problem.status, address=address, closed=True)


@router.get("/sign-in")
async def sign_in(request: Request, db: Db, link: Annotated[str, Query()] = "") -> Response:
    """Ask for a link, or use the one that came by mail; one that opens nothing says so, and how to get another."""
    if link:
        async with db.transaction() as tx:
            state = await sign_ins.link_state(tx, secret_sha256(link))
        if state != "holds":
            return _asking(request, HTTPStatus.GONE, state=state)
        return pages.render(request, "sign_in_link.html", headers=NO_STORE, link=link)
    return _asking(request)


@router.post("/sign-in")
async def ask_for_link(
    request: Request, db: Db, running: Running, now: Now, cause: RequestCause, email: Annotated[str, Form()] = ""
) -> Response:
    """Send a link to an applicant's address. The answer is the same whether or not it is one."""
    if not sent_from_our_page(request):
        return pages.problem(request, HTTPStatus.FORBIDDEN, *FOREIGN_FORM)
    address = _address(email)
    if address is None:
        return _asking(request, HTTPStatus.UNPROCESSABLE_ENTITY, email=email, wrong=True)
    page = f"{running.settings.public_url.rstrip('/')}/sign-in"
    times = _times(running.settings)
    async with db.transaction() as tx:
        await send_link(tx, address, page, times, now, cause)
    minutes = round(times.link / timedelta(minutes=1))
    return pages.render(
        request, "sign_in_sent.html", headers=NO_STORE, address="/sign-in", email=address, minutes=minutes
    )  # fmt: skip


@router.post("/sign-in/link")
async def use_link(request: Request, db: Db, running: Running, link: Annotated[str, Form()] = "") -> Response:
    """Sign in with a link, once."""
    if not sent_from_our_page(request):
        return pages.problem(request, HTTPStatus.FORBIDDEN, *FOREIGN_FORM)
    times = _times(running.settings)
    async with db.transaction() as tx:
        secret = await open_session(tx, link, times)
        state = await sign_ins.link_state(tx, secret_sha256(link))
    if secret is None:
        return _asking(request, HTTPStatus.GONE, state=state)
    return let_in(request, "/applications", {SESSION: (secret, "/", int(times.session.total_seconds()))})


@router.get("/applications")
async def own_applications(request: Request, db: Db) -> Response:
    """A person's applications, newest first."""
    applicant_id = await applicant_of(request, db)
    if applicant_id is None:
        return _asking(request, HTTPStatus.UNAUTHORIZED)
    async with db.transaction() as tx:
        rows = await applications.all_of_applicant(tx, applicant_id)
        known = await facts.facts_of(tx, [row["application_id"] for row in rows])
    own = [views.own_application(row, known[row["application_id"]]) for row in rows]
    return pages.render(request, "applications.html", headers=NO_STORE, applications=own)


@router.post("/sign-out")
async def sign_out(request: Request, db: Db) -> Response:
    """End the session, here and at the server."""
    if not sent_from_our_page(request):
        return pages.problem(request, HTTPStatus.FORBIDDEN, *FOREIGN_FORM)
    async with db.transaction() as tx:
        await sign_ins.end_session(tx, secret_sha256(request.cookies.get(SESSION, "")))
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    response.delete_cookie(SESSION, path="/")
    return response


def _asking(request: Request, status: int = HTTPStatus.OK, address: str = "/sign-in", **shown: Any) -> Response:
    context = {"email": "", "wrong": False, "closed": False, "state": "holds"} | shown
    return pages.render(request, "sign_in.html", status=status, headers=NO_STORE, address=address, **context)


def _address(text: str) -> str | None:
    """An address that a link could be sent to. Whether it is an applicant's is not asked here."""
    text = text.strip()
    if not 0 < len(text) <= LONGEST_ADDRESS:
        return None
    try:
        validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return text


def _times(settings: IntakeSettings) -> Times:
    return Times(timedelta(seconds=settings.sign_in_link_s), timedelta(seconds=settings.session_s))
