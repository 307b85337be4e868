"""Owns the HTTP interface of ops: questions become reads of the index and of Kafka, one act goes to a handler."""

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from aiokafka.errors import KafkaError
from fastapi import APIRouter, Header, Path, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from services.ops import handlers, past, verdict
from services.ops.consumers import subscribe
from services.ops.door import Operator, Reader
from services.ops.entry import readable_headers, text_of
from services.ops.stream import follow, place_to_begin
from services.ops.wanted import Asked
from shared.db import Row
from shared.events.base import STORABLE
from shared.events.ops import Because
from shared.history import Recorded, recorded_of
from shared.history.dead_letters import DeadLetter
from shared.history.document import trace_document
from shared.history.lag import read_lag
from shared.history.reading import read_one
from shared.history.trace import trace
from shared.messaging.records import RawRecord
from shared.service import Db, Now, RequestCause, Running
from shared.web.apidocs import refuses
from shared.web.problems import Problem

router = APIRouter(prefix="/api/v1", tags=["ops"])

PAGE = 50
RECONNECT_MS = 1_000

OfCall = Annotated[Annotated[str, STORABLE] | None, Query(max_length=64)]
LetterId = Annotated[str, Path(pattern="^[0-9a-f-]{36}$")]


def row_document(row: Row) -> dict[str, Any]:
    """A row of the index for people and machines."""
    return {
        "id": row["id"], "topic": row["topic"], "partition": row["partition"], "offset": row["offset"],
        "key": row["key"], "type": row["type"], "event_id": row["event_id"], "sequence": row["sequence"],
        "causation_id": row["causation_id"], "time": row["time"].isoformat() if row["time"] else None,
        "recorded_at": row["recorded_at"].isoformat(), "broken": row["problem"],
        "headers": dict(line.partition(": ")[::2] for line in row["headers"].splitlines()),
        "event": json.loads(row["payload"]) if row["payload"] is not None else None,
    }  # fmt: skip


@router.get("/events", response_class=EventSourceResponse)
async def events(
    db: Db, _: Reader, wanted: Asked, last_event_id: Annotated[int | None, Header(ge=0)] = None
) -> AsyncIterator[ServerSentEvent]:
    """Every event from a place on as server-sent events, the filters applied here; `id` goes on after a break."""
    async with db.transaction() as tx:
        filters = await wanted.filters(tx)
    after = await place_to_begin(db, wanted.place(last_event_id))
    yield ServerSentEvent(comment="open", retry=RECONNECT_MS)
    async for looked_at, rows in follow(db, subscribe.wake, filters, after):
        for row in rows:
            yield ServerSentEvent(id=str(row["id"]), data=row_document(row))
        if not rows or rows[-1]["id"] != looked_at:
            # Without data: nobody sees it, but a reconnecting browser need not look at these rows again.
            yield ServerSentEvent(id=str(looked_at))


@router.get("/applications/{named}/trace", responses=refuses("application_unknown"))
async def application_trace(db: Db, _: Reader, now: Now, named: str) -> dict[str, Any]:
    """One application over every topic in causal order, by id or reference, and what it waits for."""
    async with db.transaction() as tx:
        application_id = await past.application_named(tx, named)
        rows = await past.rows_of_application(tx, application_id) if application_id else []
    story = trace(past.history_of(rows), application_id, now) if application_id else None
    if story is None:
        raise Problem(HTTPStatus.NOT_FOUND, "application_unknown", "No event is about it.")
    return trace_document(story)


@router.get("/lag")
async def lag(running: Running, _: Reader) -> dict[str, Any]:
    """How far each group is behind on each partition, in messages and in seconds of the real clock."""
    try:
        lags = await read_lag(running.settings.kafka_bootstrap_servers)
    except KafkaError as failure:
        raise _kafka_away(failure) from None
    now = datetime.now(UTC)
    behind = {each.group: 0 for each in lags}
    for each in lags:
        behind[each.group] += each.messages
    return {"now": now.isoformat(), "groups": behind, "partitions": [each.document(now) for each in lags]}


@router.get("/dead-letters")
async def dead_letter_list(
    db: Db,
    _: Reader,
    state: Annotated[Literal["open", "replayed", "all"], Query()] = "open",
    group: Annotated[Literal["none", "reason"], Query()] = "none",
    page: Annotated[int, Query(ge=1)] = 1,
) -> dict[str, Any]:
    """The records that consumers set aside, the oldest first, 50 a page; or grouped by reason."""
    async with db.transaction() as tx:
        letters = await past.all_dead_letters(tx)
    wanted = [each for each in letters if state == "all" or each.open == (state == "open")]
    if group == "reason":
        return {"total": len(wanted), "groups": _grouped(wanted)}
    shown = wanted[(page - 1) * PAGE : page * PAGE]
    more = page * PAGE < len(wanted)
    following = f"/api/v1/dead-letters?state={state}&page={page + 1}" if more else None
    return {"total": len(wanted), "items": [each.document() for each in shown], "next": following}


def _grouped(letters: list[DeadLetter]) -> list[dict[str, Any]]:
    by_reason: dict[tuple[str, str], list[DeadLetter]] = defaultdict(list)
    for each in letters:
        by_reason[each.consumer, each.reason].append(each)
    return [
        {"consumer": consumer, "reason": reason, "count": len(each),
         "oldest_at": min(letter.first_at for letter in each).isoformat(), "ids": [letter.id for letter in each]}
        for (consumer, reason), each in sorted(by_reason.items())
    ]  # fmt: skip


@router.get("/dead-letters/{letter_id}", responses=refuses("dead_letter_unknown"))
async def dead_letter_detail(db: Db, running: Running, _: Reader, letter_id: LetterId) -> dict[str, Any]:
    """One dead letter with its record as it lies at its origin, and whether this program could read it now."""
    async with db.transaction() as tx:
        letter = await handlers.dead_letter(tx, letter_id)
    if letter is None:
        raise _letter_unknown()
    if letter.personal:
        # Its topic holds contact data, which operations never read.
        return {**letter.document(), "record": None, "readable_now": None, "withheld": "personal data"}
    try:
        bootstrap = running.settings.kafka_bootstrap_servers
        raw = await read_one(bootstrap, letter.origin_topic, letter.origin_partition, letter.origin_offset)
    except (KafkaError, TimeoutError) as failure:
        raise _kafka_away(failure) from None
    return {**letter.document(), **_origin(raw), "withheld": None}


def _origin(raw: RawRecord | None) -> dict[str, Any]:
    if raw is None:
        return {"record": None, "readable_now": None}
    read = recorded_of(raw)
    problem = None if isinstance(read, Recorded) else getattr(read, "reason", None)
    return {
        "record": {
            "key": _both(raw.key),
            "value": _both(raw.value),
            "headers": readable_headers(raw),
            "timestamp": datetime.fromtimestamp(raw.timestamp_ms / 1000, UTC).isoformat(),
        },
        "readable_now": {"ok": problem is None, "problem": problem},
    }


def _both(value: bytes | None) -> dict[str, str] | None:
    """Bytes as they are, and as people can read them."""
    return None if value is None else {"base64": base64.b64encode(value).decode(), "text": text_of(value)}


@router.post(
    "/dead-letters/{letter_id}/replay", status_code=HTTPStatus.ACCEPTED,
    responses=refuses("dead_letter_unknown", "state_conflict"),
)  # fmt: skip
async def replay(db: Db, operator: Operator, now: Now, cause: RequestCause, letter_id: LetterId) -> dict[str, Any]:
    """Ask the service that set it aside to replay its key in order. Asked again, it answers the same."""
    async with db.transaction() as tx:
        answer = await handlers.request_replay(tx, letter_id, operator.subject, now, cause)
    if answer == "unknown":
        raise _letter_unknown()
    if answer == "keyless":
        detail = "A record without a key is no event: it stopped nothing, and is dismissed rather than replayed."
        raise Problem(HTTPStatus.CONFLICT, "state_conflict", detail)
    return {"id": letter_id, "state": "requested"}


class Dismissal(BaseModel):
    """Why a record is let go, in a person's words; they are kept for good."""

    reason: Because


@router.post(
    "/dead-letters/{letter_id}/dismiss", status_code=HTTPStatus.ACCEPTED, responses=refuses("dead_letter_unknown")
)  # fmt: skip
async def dismiss(
    db: Db, operator: Operator, now: Now, cause: RequestCause, letter_id: LetterId, body: Dismissal
) -> dict[str, Any]:
    """Ask the service that set it aside to let it go, so that its key goes on; what it can read it tries again."""
    async with db.transaction() as tx:
        answer = await handlers.request_dismissal(tx, letter_id, body.reason, operator.subject, now, cause)
    if answer == "unknown":
        raise _letter_unknown()
    return {"id": letter_id, "state": "requested"}


@router.get("/invariants", responses=refuses("call_unknown"))
async def invariants(db: Db, _: Reader, call_id: OfCall = None) -> dict[str, Any]:
    """What must hold, checked from the topics alone for one call or for each; with a sentence for each violation."""
    async with db.transaction() as tx:
        known = await verdict.calls_to_judge(tx, call_id)
    if call_id is not None and not known:
        raise Problem(HTTPStatus.NOT_FOUND, "call_unknown", "No event names this call.")
    judged = {}
    for each in known:
        async with db.transaction() as tx:
            rows = await past.rows_of_call(tx, each)
        # Folding a whole call would keep every other request waiting.
        judged[each] = await asyncio.to_thread(verdict.judge_call, rows, datetime.now(UTC))
    return verdict.document(judged)


def _kafka_away(failure: Exception) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", f"Kafka does not answer: {type(failure).__name__}", retry_after=2
    )


def _letter_unknown() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "dead_letter_unknown", "No dead letter has this id.")
