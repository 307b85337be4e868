"""Owns the pages of ops: the live streams, one application's story, and signing in; it translates, no more.

Sign-in pages come later: for now an operator pastes a token, or opens an address that carries one once.
"""

from collections.abc import Sequence
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
from services.ops.wanted import BEGINNING, NOW, Wanted, wanted_of
from shared.db import Database, Row
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
"""Rows among which those of one page are sought; what is older is on the next."""
NO_STORY = ("No event is about this application", "Check the reference, or look for it among the live events.")
OWN_SITE = {"same-origin", "none", ""}
Token = Annotated[str, Form(max_length=8_000)]


@router.get("/")
async def live(request: Request, db: Db) -> Response:
    """Every stream as it grows, or with `before` what came before a row; a token in the address leaves it at once.

    The filters stand in the address.
    """
    token = request.query_params.get("token", "")
    if token:
        return await _let_in(request, token, _address("/", _without(request, "token")))
    refused = await _refused(request)
    if refused is not None:
        return refused
    wanted, wrong = wanted_of(request.query_params)
    before = _row_number(request.query_params.get("before", ""))
    rows, newest, older = (await _rows(db, wanted, before)) if not wrong else ([], 0, None)
    stream = "" if wrong or before else _stream(wanted, newest if wanted.from_ == NOW else None)
    older_than = _address("/", _without(request, "before")) + ("&" if _without(request, "before") else "?") + "before="
    return pages.render(
        request, "live.html", status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK,
        wanted=wanted, wrong=wrong, typed=request.query_params, rows=[_shown(row_document(row)) for row in rows],
        topics=_choices(subscribe.topics), types=_choices(_types()), stream=stream, older=older,
        older_than=older_than, newest_of=_address("/", _without(request, "before")), time_zone="UTC",
        NOW=NOW, BEGINNING=BEGINNING,
    )  # fmt: skip


async def _rows(db: Database, wanted: Wanted, before: int | None) -> tuple[Sequence[Row], int, int | None]:
    """Rows of one page, the id of the newest row of all, and before which id the next page begins, if there is one."""
    async with db.transaction() as tx:
        filters = await wanted.filters(tx)
        newest = await store.last_id(tx)
        upto = newest if before is None else min(before - 1, newest)
        rows = await search.latest(tx, filters, upto, SOUGHT_IN, SHOWN_FIRST)
    looked_down_to = rows[-1]["id"] if len(rows) == SHOWN_FIRST else max(upto - SOUGHT_IN, 0) + 1
    return rows, newest, looked_down_to if looked_down_to > 1 else None


def _row_number(written: str) -> int | None:
    return int(written) if written.isascii() and written.isdigit() and int(written) else None


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
