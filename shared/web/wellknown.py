"""Owns the pages that every service has for its operators: healthz, readyz, metrics, status; never business data."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.clock import business_now
from shared.messaging.failures import reason_of
from shared.messaging.timers import next_timer

if TYPE_CHECKING:
    from shared.service import Runtime


def health_router(runtime: "Runtime") -> APIRouter:
    """The operators' pages of one process."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        """The process gets on; 503 naming the loops that do not though their dependencies answer."""
        stuck = runtime.health.stuck
        body = {"status": "stuck" if stuck else "ok", "service": runtime.service.name, "stuck": stuck}
        return JSONResponse(body, 503 if stuck else 200)

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """200 when every dependency answers and every loop gets on; 503 naming what is missing."""
        missing = runtime.health.missing()
        try:
            await runtime.db.ping()
        except Exception as failure:  # noqa: BLE001 - whatever keeps the database away is what this page is asked for
            missing.insert(0, f"database: {reason_of(failure)}")
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/status", include_in_schema=False)
    async def status() -> dict[str, Any]:
        """What is left to do: what a replay waits for (`docs/design.md` §6, Time)."""
        return await what_is_left(runtime)

    return router


async def what_is_left(runtime: "Runtime") -> dict[str, Any]:
    """Unsent outbox rows and letters, halted keys, and the next timer of one service."""
    service, db = runtime.service, runtime.db
    # What is done leaves its event in the outbox, so that is read last: nothing slips from one to the other unseen.
    letters = await service.letters_unsent(db) if service.letters_unsent else 0
    due = await next_timer(db, service.timers)
    async with db.transaction() as tx:
        unsent = await tx.fetch_value("SELECT count(*) FROM outbox")
        halted = await tx.fetch_value("SELECT count(*) FROM halted_key")
    now = business_now()
    return {
        "service": service.name,
        "now": now.isoformat(),
        "outbox_unsent": unsent,
        "letters_unsent": letters,
        "halted_keys": halted,
        "next_timer": due.isoformat() if due else None,
        "timers_due": due is not None and due <= now,
        "consumers": {f"{service.name}.{topic}": [topic] for topic in service.subscriptions.topics},
    }
