"""Owns how a refusal is said over HTTP: RFC 9457 problem details with `code` and wrong fields; it decides nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from shared.events.base import NUL_IS_NOT_TEXT
from shared.events.wording import in_words
from shared.messaging.failures import Verdict, judge, reason_of, sqlstate_of, where_of

if TYPE_CHECKING:
    from shared.web.pages import Pages

log = structlog.get_logger()

MAX_BODY_BYTES = 256 * 1024
BODY_TOO_LARGE = f"A body may have {MAX_BODY_BYTES} bytes."
"""The same whether the body declared its size or was counted while it was read."""

MEDIA_TYPE = "application/problem+json"
CODES = {
    400: "body_malformed", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    413: "body_too_large", 422: "validation_failed", 429: "too_many_requests", 503: "unavailable",
}  # fmt: skip
STATUS_OF: Mapping[str, int] = {code: status for status, code in CODES.items()} | {
    "idempotency_key_missing": 400, "round_closed": 403,
    "application_unknown": 404, "call_unknown": 404, "dead_letter_unknown": 404, "delivery_unknown": 404,
    "grant_unknown": 404, "proposal_unknown": 404, "round_unknown": 404, "template_unknown": 404,
    "idempotency_in_flight": 409, "proposal_stale": 409, "state_conflict": 409,
    "idempotency_key_reused": 422, "internal_error": 500,
}  # fmt: skip
"""The codes of a refusal (`docs/design.md` §5), and the status that each is told with."""
NOT_TEXT = frozenset({"22021", "22P05"})
"""SQLSTATE of a character that PostgreSQL has not: a NUL in an address, a query or a body."""
TOO_LONG = frozenset({"string_too_long"})


@dataclass(frozen=True)
class FieldError:
    """One wrong field: its dotted path in the request, the rule's code, and a sentence for people."""

    field: str
    code: str
    message: str


@dataclass(frozen=True)
class ProblemDocument:
    """The body of a refusal (RFC 9457). `type` and `code` name its kind, `errors` every wrong field."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...]


class Problem(Exception):
    """A refusal on its way out of an edge. `code` is one of `docs/design.md` §5; `retry_after` in seconds."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        errors: Iterable[FieldError] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status, self.code, self.detail = status, code, detail
        self.errors: Sequence[FieldError] = tuple(errors)
        self.retry_after = retry_after


def problem_body(status: int, code: str, detail: str = "", errors: Iterable[FieldError] = ()) -> dict[str, Any]:
    """The document of a refusal."""
    kind, title = f"urn:releve:problem:{code}", HTTPStatus(status).phrase
    return asdict(ProblemDocument(kind, title, status, code, detail, tuple(errors)))


def respond(
    status: int,
    code: str,
    detail: str = "",
    errors: Iterable[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A refusal as a response."""
    body = problem_body(status, code, detail, errors)
    return JSONResponse(body, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def field_errors(broken: Sequence[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """Pydantic's errors as wrong fields, without the values that they quote."""
    return tuple(
        FieldError(
            ".".join(str(part) for part in error["loc"] if part not in ("body", "query", "path", "header")),
            "text_too_long" if error["type"] in TOO_LONG else "validation_failed",
            in_words(error),
        )
        for error in broken
    )


def asks_for_page(request: Request) -> bool:
    """Whether a refusal is for a person: a browser asks for HTML by name, and never from the interface."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def shown(request: Request, refusal: JSONResponse) -> Response:
    """A refusal as a page, where a browser asks a service that has pages for one; else the document that it is."""
    pages: Pages | None = getattr(request.app.state, "pages", None)
    if pages is None or not asks_for_page(request):
        return refusal
    page = pages.refusal(request, refusal.status_code)
    if "retry-after" in refusal.headers:
        page.headers["Retry-After"] = refusal.headers["retry-after"]
    return page


def install_problems(app: FastAPI) -> None:
    """Make every refusal and failure of an application a problem document, or a page of its `state.pages`."""

    @app.exception_handler(Problem)
    async def refused(request: Request, problem: Problem) -> Response:
        headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after is not None else {}
        if problem.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return shown(request, respond(problem.status, problem.code, problem.detail, problem.errors, headers))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, broken: RequestValidationError) -> Response:
        errors = broken.errors()
        if any(error["type"] == "json_invalid" for error in errors):
            return shown(request, respond(400, "body_malformed", "The body is not JSON."))
        return shown(request, respond(422, "validation_failed", "Some fields are wrong.", field_errors(errors)))

    @app.exception_handler(HTTPException)
    async def http(request: Request, refusal: HTTPException) -> Response:
        code = CODES.get(refusal.status_code, "refused")
        detail = BODY_TOO_LARGE if code == "body_too_large" else str(refusal.detail or "")
        return shown(request, respond(refusal.status_code, code, detail, headers=refusal.headers))


def failure_response(route: str, failure: Exception) -> JSONResponse:
    """A dependency that is away is 503 and worth a retry; anything else is our mistake, logged and not told."""
    if sqlstate_of(failure) in NOT_TEXT:
        errors = [FieldError("", "validation_failed", NUL_IS_NOT_TEXT)]
        return respond(422, "validation_failed", "Some fields are wrong.", errors)
    if judge(failure) is Verdict.ASIDE:
        log.error("http.failed", route=route, reason=reason_of(failure), where=where_of(failure))
        return respond(500, "internal_error", "This is our mistake. It was recorded.")
    log.warning("http.unavailable", route=route, reason=reason_of(failure))
    return respond(503, "unavailable", "Please try again in a moment.", headers={"Retry-After": "2"})
