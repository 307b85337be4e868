"""Owns notify's door for support: deliveries of an application, one more try, letters to look at; never an address."""

import asyncio
from datetime import datetime
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel

from services.notify import deliveries
from services.notify.composing import Letters
from services.notify.domain.letters import TEMPLATES
from services.notify.samples import sample_contact, sample_facts
from shared.events.base import Id
from shared.identity import Staff, require
from shared.service import Db, Running, Runtime
from shared.web.apidocs import refuses
from shared.web.languages import Language
from shared.web.problems import Problem

log = structlog.get_logger()
router = APIRouter(prefix="/api/v1", tags=["notify"])

Support = Annotated[Staff, Depends(require("support"))]
State = Literal["waiting", "sending", "sent", "refused_for_now", "refused_for_good", "erased"]
LETTER_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox"
"""A letter's styles stand in it, for mail programs; nothing else may run or load."""


class DeliveryView(BaseModel):
    """One letter. Times are UTC; `created_at` and `next_attempt_at` are real time, the others business time."""

    delivery_id: str
    application_id: str | None
    template: str
    state: State
    language: Language | None
    message_id: str
    attempts: int
    waits_for: list[str]
    reason: str | None
    caused_at: datetime
    created_at: datetime
    next_attempt_at: datetime | None
    ended_at: datetime | None
    retried_by: str | None


class DeliveriesPage(BaseModel):
    """Up to 50 letters, newest first; `next` is the `after` of the next page."""

    items: list[DeliveryView]
    next: str | None


@router.get("/deliveries")
async def list_deliveries(
    db: Db,
    staff: Support,
    application_id: Annotated[Id | None, Query()] = None,
    state: Annotated[State | None, Query()] = None,
    after: Annotated[Id | None, Query()] = None,
) -> DeliveriesPage:
    """The letters of an application, or those in a state, newest first."""
    async with db.transaction() as tx:
        rows = await deliveries.page(tx, application_id, state, after)
    items = [DeliveryView.model_validate(row) for row in rows]
    return DeliveriesPage(items=items, next=items[-1].delivery_id if len(items) == deliveries.PAGE else None)


@router.post(
    "/deliveries/{delivery_id}/retry", status_code=202, responses=refuses("delivery_unknown", "state_conflict")
)  # fmt: skip
async def retry_delivery(delivery_id: Id, db: Db, staff: Support) -> DeliveryView:
    """Try a letter that was refused once more, now. Asking again is harmless; one that was sent or erased is 409."""
    async with db.transaction() as tx:
        found = await deliveries.retry(tx, delivery_id, staff.subject)
    if found is None:
        raise Problem(404, "delivery_unknown", "No letter has this id.")
    if found["state"] in ("sent", "erased"):
        raise Problem(409, "state_conflict", f"The letter is {found['state']}.")
    log.info("notify.retry_asked", delivery_id=delivery_id, asked_by=staff.subject)
    return DeliveryView.model_validate(found)


@router.get("/templates")
async def list_templates(staff: Support) -> dict[str, list[str]]:
    """The names of every letter that Relevé writes."""
    return {"items": list(TEMPLATES)}


@router.get(
    "/templates/{template}/preview", response_class=HTMLResponse, responses=refuses("template_unknown")
)  # fmt: skip
async def preview_template(
    template: str,
    running: Running,
    staff: Support,
    language: Annotated[Language, Query()] = "fr",
    form: Annotated[Literal["html", "text"], Query(alias="format")] = "html",
) -> Response:
    """A letter as it would be written, with invented values."""
    if template not in TEMPLATES:
        raise Problem(404, "template_unknown", f"The letters are {', '.join(TEMPLATES)}.")
    letters = await _letters(running)
    letter = letters.compose(sample_facts(template), sample_contact(language))
    if form == "text":
        return PlainTextResponse(f"{letter.subject}\n\n{letter.text}")
    headers = {"Content-Security-Policy": LETTER_POLICY, "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(letter.html, headers=headers)


async def _letters(running: Runtime) -> Letters:
    if "letters" not in running.parts:
        running.parts["letters"] = await asyncio.to_thread(Letters, running.settings.public_url)
    letters: Letters = running.parts["letters"]
    return letters
