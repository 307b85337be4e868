"""Owns the pages that everybody may read: the calls, their dates, and who won as far as it was announced."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.intake import views
from services.intake.api import SLUG, call_unknown
from services.intake.pages.layout import pages
from services.intake.store import calls
from shared.service import Db, Now

router = APIRouter()

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
        raise call_unknown()
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
        raise call_unknown()
    page = views.laureates_page(call_id, row, found)
    return pages.render(request, "laureates.html", call=row["document"], page=page, after=after)
