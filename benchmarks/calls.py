"""Owns what is submitted in benchmarks: a call that is always open, and dossiers of about three kilobytes."""

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
BODY_BYTES = 3000

# Any nine digits and their Luhn digit, any four digits and theirs: no register is asked.
SIRET = "00000101600013"
SENTENCE = "Le projet accompagne des personnes éloignées de l'emploi vers les métiers du numérique, à leur rythme. "


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


def dossier(number: int) -> dict[str, Any]:
    """A submission that keeps the call's rules, of a person of its own, `BODY_BYTES` long as JSON."""
    body: dict[str, Any] = {
        "organisation": {
            "name": f"École du numérique {number}", "siret": SIRET, "kind": "training_organisation",
            "region": "Normandie",
        },
        "contact": {"name": "Camille Durand", "email": f"camille.{number}@ecole.example.org", "language": "fr"},
        "project": {
            "title": f"Apprendre ensemble {number}", "summary": "", "themes": ["pedagogy", "insertion"],
            "publics": ["women", "job_seekers"], "requested_eur": 20000 + number % 20000, "starts_on": "2026-12-01",
            "ends_on": "2027-11-30",
            "answers": {"means": SENTENCE * 5, "taken_up": SENTENCE * 5},
        },
        "declarations": {"not_in_labelled_use": True},
    }  # fmt: skip
    body["project"]["summary"] = (SENTENCE * 20)[: BODY_BYTES - 700 - 10 * len(SENTENCE)].strip()
    return body
