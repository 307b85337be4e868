"""Owns a call that is always open, and how it comes into intake's database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from services.intake.handlers.publish import publish_call
from shared.clock import business_now
from shared.db import Database
from shared.events.call import Call
from shared.telemetry import Cause

FILE = Path(__file__).resolve().parents[1] / "data" / "innovation-2021" / "call.yaml"
CALL_ID, ROUND_ID = "bench", "bench-r1"


def open_call(**changes: Any) -> Call:
    """The call of 2021 with one round that is open all the time."""
    document = YAML(typ="safe").load(FILE)
    only = {
        "id": ROUND_ID, "opens_at": "2000-01-01T00:00:00Z", "closes_at": "2999-01-01T00:00:00Z",
        "announce_at": "2999-06-01T00:00:00Z",
    }  # fmt: skip
    named = {"id": CALL_ID, "version": 1, "reference_prefix": "BENCH", "rounds": [only]}
    project = document["project"] | {"ends_by": "2999-12-31"}
    return Call.model_validate(document | named | {"project": project} | changes)


async def publish(db: Database, call: Call) -> None:
    """Publish a call in intake's database, as its interface does."""
    async with db.transaction() as tx:
        await publish_call(tx, call, business_now(), Cause.anew("bench"))
