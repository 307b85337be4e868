"""Owns the publication of a call: its version is stored, its rounds take their dates, everybody is told; never HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.intake.domain.publication import Refused, refused_changes
from services.intake.store import calls
from shared.db import Transaction
from shared.events.call import Call
from shared.events.intake import CallPublished
from shared.telemetry import Cause


@dataclass(frozen=True, slots=True)
class Published:
    """The version stands; `published_at` is when it was published first."""

    call_id: str
    version: int
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Conflict:
    """The version may not be published as things stand: every reason, by field."""

    reasons: Sequence[Refused]


async def publish_call(tx: Transaction, call: Call, now: datetime, cause: Cause) -> Published | Conflict:
    """Publish a version of a call; one that is published with equal content gets its first answer again."""
    await calls.lock_call(tx, call.id)
    held = {row["version"]: row for row in await calls.held_versions(tx, call.id, call.version)}
    same = held.get(call.version)
    if same is not None:
        # Compared as models: an instant may be written in any zone, a weight as 15 or 15.0.
        if Call.model_validate(same["document"]) == call:
            return Published(call.id, call.version, same["published_at"])
        return Conflict([Refused("version", f"{call.version} is published already, with other content")])
    reasons = await _objections(tx, call, now, held)
    if reasons:
        return Conflict(reasons)
    await calls.save_version(tx, call, call.model_dump_json(), now)
    tx.outbox.record(
        CallPublished(occurred_at=now, call_id=call.id, call_version=call.version, round_id=None, call=call), cause
    )
    return Published(call.id, call.version, now)


async def _objections(tx: Transaction, call: Call, now: datetime, held: calls.Versions) -> list[Refused]:
    reasons = [
        Refused(row["field"], f"belongs to the call {row['call_id']}") for row in await calls.taken_names(tx, call)
    ]
    for row in held.values():  # the current version, if there is one
        if call.version < row["current"]:
            reasons.append(Refused("version", f"must be above {row['current']}, the current one"))
        current = Call.model_validate(row["document"])
        reasons += refused_changes(current.model_dump(mode="json"), call.model_dump(mode="json"), now)
    return reasons
