"""Owns who may come in: operators, by a bearer token or, in a browser, by a cookie that holds one; it keeps no session.

The cookie only ever reads: a browser sends it along with what other sites make it ask for, so nothing is changed on it.
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import Response

from shared.identity import Issuer, Staff, bearer, require
from shared.web.problems import Problem

COOKIE = "releve_operator"
ROLE = "operator"

Operator = Annotated[Staff, Depends(require(ROLE))]
"""Somebody who may change something: by bearer token only."""


async def operator_of(issuer: Issuer, token: str) -> Staff:
    """Whose token it is, if theirs is the role. Raises Problem 401, 403, 503."""
    staff = await issuer.staff(token)
    if ROLE not in staff.roles:
        raise Problem(HTTPStatus.FORBIDDEN, "forbidden", f"This needs the role {ROLE}.")
    return staff


async def _reads(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Staff:
    token = credentials.credentials if credentials else request.cookies.get(COOKIE)
    if not token:
        raise Problem(HTTPStatus.UNAUTHORIZED, "unauthenticated", "A bearer token is needed.")
    return await operator_of(request.app.state.issuer, token)


Reader = Annotated[Staff, Depends(_reads)]
"""Somebody who may look, by bearer token or by the cookie."""


def let_in(request: Request, response: Response, token: str) -> None:
    """Keep a token in the browser until it closes. No script can read it, no other site can send it along."""
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, path="/")


def let_out(response: Response) -> None:
    """Forget the token."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", path="/")
