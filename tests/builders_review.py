"""Calls, events and a review service to give them to, as tests of review need them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from services.review.app import service
from services.review.consumers import subscribe
from shared.clock import ENVIRONMENT_VARIABLE
from shared.config import ServiceSettings
from shared.db import Database
from shared.events.call import Call
from shared.events.intake import ApplicationSubmitted, ApplicationWithdrawn, CallPublished, RoundClosed
from shared.identity import Issuer, Staff, signed_in
from shared.ids import new_id
from shared.service import Runtime, make_app
from tests.bench import ServiceBench, round_closed
from tests.databases import Databases
from tests.declared import client_of

CALL = "ateliers-2030"
R1, R2 = "ateliers-2030-r1", "ateliers-2030-r2"
OPENS = datetime(2030, 1, 7, 8, tzinfo=UTC)
CLOSES = datetime(2030, 2, 1, 17, tzinfo=UTC)
CRITERIA = ("relevance", "inclusion")
OFFICERS_CHECK = [{"id": "public", "text": {"fr": "Public", "en": "Public"}}]
MACHINE_CHECKS = [
    {"id": name, "machine": name, "text": {"fr": name, "en": name}}
    for name in ("kind_allowed", "theme_present", "amount_in_bounds", "applications_per_organisation")
]


def both(text: str) -> dict[str, str]:
    return {"fr": text, "en": text}


def a_round(round_id: str, after_months: int = 0) -> dict[str, Any]:
    later = timedelta(days=90 * after_months)
    dates = {"opens_at": OPENS + later, "closes_at": CLOSES + later}
    return {"id": round_id, **dates, "announce_at": CLOSES + later + timedelta(days=30)}


def a_rubric(**changes: Any) -> dict[str, Any]:
    criteria = [{"id": name, "weight": "1", "text": both(name), "anchors": {}} for name in CRITERIA]
    return {
        "criteria": criteria, "reviewers_per_application": 2, "max_spread": "20", "pass_mark": "60", "blind": False,
    } | changes  # fmt: skip


def a_call(**changes: Any) -> Call:
    """A small call: grants of 10,000 to 40,000 €, one check for an officer, two criteria, two reviewers, spread 20."""
    file: dict[str, Any] = {
        "id": CALL,
        "version": 1,
        "title": both("Ateliers"),
        "reference_prefix": "ATL",
        "time_zone": "Europe/Paris",
        "grace_s": 60,
        "funder": {"name": "Un fonds", "siret": "00002023000017"},
        "envelope_eur": 1_000_000,
        "grant": {"min_eur": 10_000, "max_eur": 40_000},
        "kinds": [{"id": "school", "text": both("École")}],
        "themes": [{"id": "support", "text": both("Accompagnement")}, {"id": "access", "text": both("Accès")}],
        "project": {"starts_within_months": 3, "ends_by": "2031-12-31"},
        "rounds": [a_round(R1)],
        "admissibility": OFFICERS_CHECK,
        "rubric": a_rubric(),
        "decision": "chair",
        "allocation": "ranked",
        "shortfall": "stop",
        "answer_within_days": 30,
        "convention_within_days": 60,
        "applications_per_organisation": 1,
        "appeal": both("Recours"),
    }
    return Call.model_validate(file | changes)


def published(call: Call) -> CallPublished:
    return CallPublished(occurred_at=OPENS - timedelta(days=1), call_id=call.id, call_version=call.version, call=call)


@dataclass(frozen=True)
class Dossier:
    """One application of a test, and the events about it."""

    number: int
    siret: str = ""
    partner_siret: str | None = None
    requested_eur: int = 30_000
    round_id: str = R1
    themes: tuple[str, ...] = ("support",)
    id: str = field(default_factory=new_id)

    @property
    def _identity(self) -> dict[str, Any]:
        at = OPENS + timedelta(hours=self.number)
        return {
            "call_id": CALL, "call_version": 1, "round_id": self.round_id, "application_id": self.id, "occurred_at": at,
        }  # fmt: skip

    def submitted(self) -> ApplicationSubmitted:
        siret = self.siret or f"{self.number:09d}00017"
        partner = self.partner_siret and {"name": "Partenaire secret", "siret": self.partner_siret}
        return ApplicationSubmitted.model_validate({
            **self._identity, "reference": f"ATL-2030-{self.number:04d}", "applicant_id": new_id(),
            "organisation": {"name": f"École secrète {self.number}", "siret": siret, "kind": "school",
                             "region": "Grand Est", "partner": partner},
            "project": {"title": f"Projet {self.number}", "summary": f"Résumé {self.number}", "themes": self.themes,
                        "requested_eur": self.requested_eur, "starts_on": "2030-06-01", "ends_on": "2031-06-01"},
            "attachments": [{"name": "ecole-secrete.pdf", "size": 3, "media_type": "application/pdf",
                             "sha256": "0" * 64, "object_key": f"objets/{self.number}"}],
            "submitted_at": OPENS + timedelta(hours=self.number),
        })  # fmt: skip

    def withdrawn(self) -> ApplicationWithdrawn:
        return ApplicationWithdrawn(**self._identity, reason="another plan")


def dossiers(count: int, **changes: Any) -> list[Dossier]:
    return [Dossier(number, **changes) for number in range(1, count + 1)]


def closed(members: Sequence[Dossier], round_id: str = R1) -> RoundClosed:
    return round_closed(CALL, round_id, CLOSES, [each.id for each in members])


def listed(*subjects: str, organisations: dict[str, list[str]] | None = None) -> list[dict[str, Any]]:
    """The body of a list of reviewers."""
    own = organisations or {}
    return [{"subject": subject, "organisations": own.get(subject, []), "themes": []} for subject in subjects]


def marks(*values: int | None) -> dict[str, Any]:
    """Marks for the criteria in order, each with its reason."""
    given = values if len(values) == len(CRITERIA) else values * len(CRITERIA)
    return {name: {"value": value, "reason": "Parce que."} for name, value in zip(CRITERIA, given, strict=True)}


def evaluation(*values: int | None, recommended_eur: int | None = None) -> dict[str, Any]:
    return {
        "marks": marks(*values), "comment": "Avis.", "recommendation": "fund", "recommended_eur": recommended_eur,
    }  # fmt: skip


async def _as_said(request: Request) -> Staff:
    """Who a test says it is: the identity alone is not the issuer's here."""
    return Staff(request.headers["x-subject"], frozenset(request.headers["x-roles"].split(",")))


class Review(ServiceBench):
    """A review service of a test."""

    def __init__(self, db: Database, clock: Path) -> None:
        super().__init__(db, subscribe, clock)
        self._app = self._made_app()
        self.at(CLOSES + timedelta(days=1))

    async def plan(self) -> dict[str, list[str]]:
        """The subjects who hold a place now, in slot order, by application."""
        rows = await self.rows(
            "SELECT CAST(application_id AS text) AS id, subject FROM assignment WHERE released_at IS NULL ORDER BY slot"
        )
        return {id_: [row["subject"] for row in rows if row["id"] == id_] for id_ in {row["id"] for row in rows}}

    async def state_of(self, dossier: Dossier) -> str:
        """The state of an application."""
        (row,) = await self.rows(
            "SELECT state FROM application WHERE application_id = CAST(:id AS uuid)", id=dossier.id
        )
        return str(row["state"])

    def _made_app(self) -> FastAPI:
        settings = ServiceSettings()
        issuer = Issuer("http://127.0.0.1:1", "releve")
        app = make_app(Runtime(service, settings, self.db, issuer, frozenset({"api"})))
        app.dependency_overrides[signed_in] = _as_said
        return app

    async def ask(
        self, who: str, method: str, path: str, body: Any = None, roles: Sequence[str] | None = None
    ) -> httpx.Response:
        """One request of a member of staff; the roles follow from the name (`chair`, `officer-2`, any reviewer)."""
        name = who.split("-", maxsplit=1)[0]
        held = roles or ([name] if name in ("chair", "officer", "support") else ["reviewer"])
        said = {"x-subject": who, "x-roles": ",".join(held)}
        async with client_of(self._app, "http://review") as client:
            return await client.request(method, f"/api/v1{path}", json=body, headers=said)

    async def done(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """The same, which must succeed; its answer."""
        answer = await self.ask(who, method, path, body)
        assert answer.is_success, answer.text
        return answer.json()

    async def list_reviewers(self, *subjects: str, **organisations: list[str]) -> None:
        """The chair sets the list; SIREN by subject."""
        await self.done("chair", "PUT", f"/calls/{CALL}/reviewers", listed(*subjects, organisations=organisations))

    async def admit(self, *members: Dossier) -> None:
        """An officer answers the one check of each."""
        for each in members:
            await self.done("officer", "POST", f"/applications/{each.id}/admissibility", {"checks": {"public": True}})

    async def declare(self, who: str, dossier: Dossier, kind: str = "none") -> Any:
        body = {"kind": kind, "reason": "" if kind == "none" else "Un lien."}
        return await self.done(who, "POST", f"/applications/{dossier.id}/conflict", body)

    async def evaluate(
        self, who: str, dossier: Dossier, *values: int | None, recommended_eur: int | None = None
    ) -> None:
        """Declare nothing, mark and submit."""
        await self.declare(who, dossier)
        body = evaluation(*values, recommended_eur=recommended_eur)
        await self.done(who, "PUT", f"/applications/{dossier.id}/evaluation", body)
        await self.done(who, "POST", f"/applications/{dossier.id}/evaluation/submit")

    async def planned(self, call: Call, members: Sequence[Dossier], *subjects: str) -> None:
        """Bring one round to its plan."""
        await self.receive(published(call))
        await self.list_reviewers(*subjects)
        await self.receive(*(each.submitted() for each in members), closed(members))
        await self.admit(*members)


async def a_review(databases: Databases, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Review:
    """A fresh review service for one test, with a clock of its own."""
    clock = folder / "clock"
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(clock))
    return Review(await databases("review"), clock)
