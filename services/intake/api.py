"""Owns intake's HTTP interface (`docs/design.md` §5): it translates and decides nothing."""

import asyncio
import random
import re
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from services.intake import views
from services.intake.domain.answers import NotPossible, Taken
from services.intake.domain.status import Kind
from services.intake.handlers.answer import answer_offer, withdraw_application
from services.intake.handlers.publish import Conflict, publish_call
from services.intake.handlers.submit import Desk, Receipt, Sent
from services.intake.openapi import CALL_BODY, SUBMISSION_BODY
from services.intake.reading import BodyMalformed, Paragraph, read_json
from services.intake.store import applications, calls, facts
from shared.clock import business_now
from shared.db import Row
from shared.events.call import Call, mistakes_of
from shared.group_commit import TooManyWait
from shared.identity import require
from shared.service import Db, Now, RequestCause, Running, Runtime
from shared.web.apidocs import refuses
from shared.web.bare import BareRoute
from shared.web.middleware import declared_size
from shared.web.problems import MAX_BODY_BYTES, STATUS_OF, FieldError, Problem

router = APIRouter(prefix="/api/v1", tags=["intake"])

LONGEST_KEY = 200
DETAILS = {
    "call_unknown": "There is no such call.",
    "idempotency_in_flight": "The first request with this key is not finished: try again in a moment.",
    "idempotency_key_reused": "This key was used for another application.",
    "round_closed": "The call takes no applications now.",
    "validation_failed": "Some fields are wrong.",
}
BUSY = "Very many submit now. Nothing was stored: send the same again, with the same key."
RETRY_AFTER_S = (2, 8)
"""Drawn anew for each: who is turned away at the same moment must not come back at the same moment."""
CONFLICT = "The application's state does not allow this."
"""The same for every application, so that nothing sealed shows."""
NO_STORE = {"Cache-Control": "no-store"}

bearer = HTTPBearer(
    auto_error=False, scheme_name="application", description="The `access_token` of an application's 201"
)
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

OF_SUBMISSION = refuses(
    "call_unknown", "idempotency_in_flight", "idempotency_key_missing", "idempotency_key_reused", "round_closed"
)
OF_COMMAND = refuses("application_unknown", "state_conflict")


async def _desk(running: Running) -> Desk:
    desk: Desk = running.parts["desk"]
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]


def call_unknown() -> Problem:
    """The refusal of a call that was never published here."""
    return Problem(HTTPStatus.NOT_FOUND, "call_unknown", DETAILS["call_unknown"])


async def _call_id(call_id: str) -> str:
    if not SLUG.fullmatch(call_id):
        raise call_unknown()
    return call_id


CallId = Annotated[str, Depends(_call_id)]


class PublishedView(BaseModel):
    """A published version of a call."""

    call_id: str
    version: int
    published_at: datetime


class ReceiptView(BaseModel):
    """What a deposit is answered. `access_token` opens the application; `status_url` is its page."""

    application_id: str
    reference: str
    status: str
    submitted_at: datetime
    access_token: str
    status_url: str


class AnswerView(BaseModel):
    """An applicant's command was taken at that time."""

    application_id: str
    status: str
    at: datetime


class Withdrawal(BaseModel):
    """Why the applicant withdraws."""

    reason: Paragraph


@router.put(
    "/calls/{call_id}", dependencies=[Depends(require("administrator"))], openapi_extra=CALL_BODY,
    responses=refuses("call_unknown", "state_conflict"),
)  # fmt: skip
async def publish(call_id: CallId, request: Request, db: Db, cause: RequestCause, now: Now) -> PublishedView:
    """Publish a version of a call: the call file as JSON. The same again is answered the same."""
    call = _read_call(call_id, await _json(request))
    async with db.transaction() as tx:
        published = await publish_call(tx, call, now, cause)
        if isinstance(published, Conflict):
            errors = [FieldError(each.field, "state_conflict", each.why) for each in published.reasons]
            named = "; ".join(f"{each.field}: {each.message}" for each in errors)
            raise Problem(HTTPStatus.CONFLICT, "state_conflict", named, errors)
    return PublishedView(
        call_id=published.call_id, version=published.version, published_at=published.published_at
    )  # fmt: skip


def _read_call(call_id: str, document: Any) -> Call:
    errors = [FieldError(each.field, "validation_failed", each.message) for each in mistakes_of(document)]
    if not errors and document["id"] != call_id:
        errors = [FieldError("id", "validation_failed", "The id is not the one of the address.")]
    if errors:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "validation_failed", "The call has mistakes.", errors)
    return Call.model_validate(document)


async def _json(request: Request) -> Any:
    try:
        return read_json(await request.body())
    except BodyMalformed as malformed:
        raise Problem(HTTPStatus.BAD_REQUEST, "body_malformed", str(malformed)) from None


@router.get("/calls")
async def list_calls(
    db: Db, now: Now, after: Annotated[str, Query(pattern="^[a-z0-9-]{0,64}$")] = ""
) -> views.CallsPage:
    """The published calls, 50 a page, in the order of their ids."""
    async with db.transaction() as tx:
        rows = await calls.list_calls(tx, after)
        rounds = await calls.rounds_of(tx, [row["call_id"] for row in rows])
    return views.calls_page(rows, rounds, now)


@router.get("/calls/{call_id}", responses=refuses("call_unknown"))
async def read_call(call_id: CallId, db: Db) -> dict[str, Any]:
    """The call file in its current version, and when that was published."""
    async with db.transaction() as tx:
        row = await calls.one_call(tx, call_id)
    if row is None:
        raise call_unknown()
    document: dict[str, Any] = row["document"]
    return document | {"published_at": row["published_at"]}


@router.get("/calls/{call_id}/laureates", responses=refuses("call_unknown"))
async def list_laureates(
    call_id: CallId, db: Db, after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0
) -> views.LaureatesPage:
    """Who won, 50 a page: awarded and announced, minus released and withdrawn."""
    async with db.transaction() as tx:
        call = await calls.one_call(tx, call_id)
        if call is None:
            raise call_unknown()
        rows = await calls.laureates_of(tx, call_id, after)
    return views.laureates_page(call_id, call, rows)


async def submit(call_id: str, request: Request) -> Response:
    """Deposit an application. The same key and body get the first answer again, also after the closing."""
    # The server's receipt time decides: taken before the body is awaited.
    received_at = business_now()
    runtime: Runtime = request.app.state.runtime
    desk: Desk = runtime.parts["desk"]
    key = request.headers.get("idempotency-key", "")
    await _call_id(call_id)
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        detail = f"The header Idempotency-Key must have 1 to {LONGEST_KEY} printable ASCII characters."
        raise Problem(HTTPStatus.BAD_REQUEST, "idempotency_key_missing", detail)
    try:
        size = declared_size(request.headers)
        with desk.place_for(MAX_BODY_BYTES if size is None else size):
            async with asyncio.timeout(desk.longest_s):
                sent = Sent(call_id, key, await request.body(), received_at, request.state.cause)
                answer = await desk.submit(sent)
    except BodyMalformed as malformed:
        raise Problem(HTTPStatus.BAD_REQUEST, "body_malformed", str(malformed)) from None
    except TooManyWait:
        later_s = random.randint(*RETRY_AFTER_S)  # noqa: S311 - spreads retries, no secret
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", BUSY, retry_after=later_s) from None
    if not isinstance(answer, Receipt):
        retry_after = 1 if answer.code == "idempotency_in_flight" else None
        raise Problem(STATUS_OF[answer.code], answer.code, DETAILS[answer.code], answer.errors, retry_after)
    token = desk.access.token(answer.application_id, answer.token_version)
    address = f"{runtime.settings.public_url.rstrip('/')}/applications/{answer.application_id}"
    receipt = ReceiptView(
        application_id=answer.application_id, reference=answer.reference, status="submitted",
        submitted_at=answer.submitted_at, access_token=token, status_url=f"{address}?token={token}",
    )  # fmt: skip
    return Response(receipt.model_dump_json(), HTTPStatus.CREATED, NO_STORE, "application/json")


router.add_api_route(
    "/calls/{call_id}/applications", submit, methods=["POST"], status_code=HTTPStatus.CREATED,
    response_model=ReceiptView, openapi_extra=SUBMISSION_BODY, responses=OF_SUBMISSION, route_class_override=BareRoute,
)  # fmt: skip


async def held_application(db: Db, desk: AtDesk, application_id: str, token: str | None) -> Row:
    """The application that a token opens. Raises Problem 401, 403, 404.

    Whether an application exists is told only to who holds a token that was made for it.
    """
    if not token:
        raise Problem(HTTPStatus.UNAUTHORIZED, "unauthenticated", "The application's access token is needed.")
    version = desk.access.version_of(application_id, token)
    forbidden = Problem(HTTPStatus.FORBIDDEN, "forbidden", "The token does not open this application.")
    if version is None:
        raise forbidden
    async with db.transaction() as tx:
        row = await applications.one_application(tx, application_id)
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, "application_unknown", "There is no such application.")
    if row["token_version"] != version:
        raise forbidden
    return row


async def _held(
    application_id: str,
    db: Db,
    desk: AtDesk,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Row:
    return await held_application(db, desk, application_id, credentials.credentials if credentials else None)


@router.get("/applications/{application_id}", responses=refuses("application_unknown"))
async def read_application(
    held: Annotated[Any, Depends(_held)], db: Db, now: Now, response: Response
) -> views.ApplicationView:
    """Status and timeline, as far as they may be told."""
    response.headers.update(NO_STORE)
    async with db.transaction() as tx:
        known = (await facts.facts_of(tx, [held["application_id"]]))[held["application_id"]]
    return views.application_view(held, known, now)


@router.post("/applications/{application_id}/withdraw", status_code=HTTPStatus.ACCEPTED, responses=OF_COMMAND)
async def withdraw(
    held: Annotated[Any, Depends(_held)], body: Withdrawal, db: Db, now: Now, cause: RequestCause
) -> AnswerView:
    """Withdraw the application. Repeated, it is answered as the first time."""
    async with db.transaction() as tx:
        return _answered(held, await withdraw_application(tx, held, body.reason, now, cause))


@router.post("/applications/{application_id}/accept", status_code=HTTPStatus.ACCEPTED, responses=OF_COMMAND)
async def accept(held: Annotated[Any, Depends(_held)], db: Db, now: Now, cause: RequestCause) -> AnswerView:
    """Accept the grant while it is offered. Repeated, it is answered as the first time."""
    async with db.transaction() as tx:
        return _answered(held, await answer_offer(tx, held, Kind.ACCEPTED, now, cause))


@router.post("/applications/{application_id}/decline", status_code=HTTPStatus.ACCEPTED, responses=OF_COMMAND)
async def decline(held: Annotated[Any, Depends(_held)], db: Db, now: Now, cause: RequestCause) -> AnswerView:
    """Decline the grant while it is offered. Repeated, it is answered as the first time."""
    async with db.transaction() as tx:
        return _answered(held, await answer_offer(tx, held, Kind.DECLINED, now, cause))


def _answered(held: Row, decided: Taken | NotPossible) -> AnswerView:
    if isinstance(decided, NotPossible):
        raise Problem(HTTPStatus.CONFLICT, "state_conflict", CONFLICT)
    fact = decided.fact
    return AnswerView(application_id=held["application_id"], status=str(fact.kind), at=fact.occurred_at)
