"""Owns the pages of ops: the live streams, one application's story, and signing in; it translates, no more.

Sign-in pages come later: for now an operator pastes a token, or opens an address that carries one once.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.ops import past, search, store
from services.ops.api import row_document
from services.ops.consumers import subscribe
from services.ops.door import COOKIE, let_in, let_out, operator_of
from services.ops.wanted import NOW, Asked, Wanted
from shared.events.topics import TOPICS
from shared.history.recorded import short_name
from shared.history.trace import trace
from shared.ids import is_id
from shared.service import Db, Now
from shared.web.pages import Pages
from shared.web.problems import Problem

router = APIRouter(include_in_schema=False)
pages = Pages(Path(__file__).parent / "templates", layout="ops.html")

SHOWN_FIRST = 50
SOUGHT_IN = 20_000
"""Rows among which the first ones of the page are sought; the stream finds what is older."""
"""A key that is an application's id, whose story can be told."""
NO_STORY = ("No event is about this application", "Check the reference, or look for it among the live events.")
OWN_SITE = {"same-origin", "none", ""}
Token = Annotated[str, Form(max_length=8_000)]


@router.get("/")
async def live(request: Request, db: Db, wanted: Asked) -> Response:
    """Every stream as it grows. The filters stand in the address; a token in it lets in, once, and leaves it."""
    token = request.query_params.get("token", "")
    if token:
        return await _let_in(request, token, _address("/", _without(request, "token")))
    refused = await _refused(request)
    if refused is not None:
        return refused
    async with db.transaction() as tx:
        filters = await wanted.filters(tx)
        newest = await store.last_id(tx)
        rows = await search.latest(tx, filters, newest, SOUGHT_IN, SHOWN_FIRST)
    streams_on = wanted.from_ == NOW
    return pages.render(
        request, "live.html",
        wanted=wanted, rows=[_shown(row_document(row)) for row in rows],
        topics=_choices(subscribe.topics), types=_choices(_types()),
        stream=_stream(wanted, newest if streams_on else None), time_zone="UTC", NOW=NOW,
    )  # fmt: skip


@router.get("/applications/{named}")
async def story(request: Request, db: Db, now: Now, named: str) -> Response:
    """One application over every topic, with what it waits for; by id or reference."""
    refused = await _refused(request)
    if refused is not None:
        return refused
    async with db.transaction() as tx:
        application_id = await past.application_named(tx, named)
        rows = await past.rows_of_application(tx, application_id) if application_id else []
    found = trace(past.history_of(rows), application_id, now) if application_id else None
    if found is None:
        return pages.problem(request, HTTPStatus.NOT_FOUND, *NO_STORY)
    return pages.render(request, "story.html", story=found, time_zone="UTC")


@router.post("/sign-in")
async def sign_in(request: Request, token: Token) -> Response:
    """Keep a pasted token in the browser."""
    if request.headers.get("sec-fetch-site", "") not in OWN_SITE:
        return pages.problem(request, HTTPStatus.FORBIDDEN, "This form was sent from another site")
    return await _let_in(request, token.strip(), "/")


@router.post("/sign-out")
async def sign_out() -> Response:
    """Forget the token."""
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    let_out(response)
    return response


async def _let_in(request: Request, token: str, address: str) -> Response:
    try:
        await operator_of(request.app.state.issuer, token)
    except Problem as problem:
        return _door(request, problem)
    response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
    let_in(request, response, token)
    return response


async def _refused(request: Request) -> Response | None:
    token = request.cookies.get(COOKIE)
    if not token:
        return pages.render(request, "sign_in.html", status=HTTPStatus.UNAUTHORIZED, error="")
    try:
        await operator_of(request.app.state.issuer, token)
    except Problem as problem:
        return _door(request, problem)
    return None


def _door(request: Request, problem: Problem) -> Response:
    """Why nobody was let in, by the problem's code; the template says it in words."""
    return pages.render(request, "sign_in.html", status=problem.status, error=problem.code)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "name": short_name(row["type"]), "is_application": is_id(row["key"])}


def _types() -> list[str]:
    """The short names of every event type on a topic that ops reads."""
    return sorted({name for topic in TOPICS if topic.name in subscribe.topics for name in topic.events})


def _choices(values: list[str]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


def _stream(wanted: Wanted, after: int | None) -> str:
    """The address of the stream that the page goes on with."""
    asked = wanted.model_dump(by_alias=True, exclude={"after"}, mode="json")
    if after is not None:
        asked |= {"from": NOW, "after": after}
    return _address("/api/v1/events", asked)


def _address(path: str, query: dict[str, Any]) -> str:
    several = {name: value if isinstance(value, list) else [value] for name, value in query.items()}
    kept = {name: [one for one in values if one not in {None, ""}] for name, values in several.items()}
    kept = {name: values for name, values in kept.items() if values}
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path


def _without(request: Request, dropped: str) -> dict[str, list[str]]:
    names = dict.fromkeys(request.query_params.keys())
    return {name: request.query_params.getlist(name) for name in names if name != dropped}
