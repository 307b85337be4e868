"""Owns who is let in to an applicant's pages, and by which cookie; what is behind the door is not its business.

Two keys open an application: the token of its receipt, kept on the path of that application alone, and the session of
the person who signed in by a link in a mail. Both leave the address at once.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from services.intake.api import AtDesk, held_application
from services.intake.handlers.sign_in import secret_sha256
from services.intake.store import applications, sign_ins
from shared.db import Row
from shared.ids import is_id
from shared.service import Db
from shared.web.languages import PARAMETER, known
from shared.web.problems import Problem

COOKIE = "releve_application"
"""Set on the path of one application, so that several open side by side."""
SESSION = "releve_session"


async def applicant_of(request: Request, db: Db) -> str | None:
    """The id of the applicant who is signed in, or None."""
    secret = request.cookies.get(SESSION)
    if not secret:
        return None
    async with db.transaction() as tx:
        return await sign_ins.applicant_in_session(tx, secret_sha256(secret))


async def opened(request: Request, application_id: str, db: Db, desk: AtDesk) -> Row | Problem:
    """The application that a cookie opens, or why none does."""
    try:
        return await held_application(db, desk, application_id, request.cookies.get(COOKIE))
    except Problem as problem:
        applicant_id = await applicant_of(request, db)
        if applicant_id is None:
            return problem
        async with db.transaction() as tx:
            held = await applications.one_application(tx, application_id) if is_id(application_id) else None
        return held if held is not None and held["applicant_id"] == applicant_id else problem


def let_in(request: Request, path: str, cookies: Mapping[str, tuple[str, str, int | None]]) -> Response:
    """Go to a path with cookies: by name the value, the path that it is for, and its seconds or None."""
    language = known(request.query_params.get(PARAMETER))
    response = RedirectResponse(f"{path}?{PARAMETER}={language}" if language else path, 303)
    for name, (value, on, max_age) in cookies.items():
        # Lax, not strict: people come from the link in their mail.
        kept: dict[str, Any] = {"path": on, "max_age": max_age, "secure": request.url.scheme == "https"}
        response.set_cookie(name, value, httponly=True, samesite="lax", **kept)
    response.headers["Cache-Control"] = "no-store"
    return response


def sent_from_our_page(request: Request) -> bool:
    """Whether a form was sent from a page of this address, not from another site in the person's name.

    Every browser of the last years says so itself; older ones name the page's origin. Who says neither is refused.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host", "?")
