"""Calls, events and a funding service to give them to, as tests of funding need them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.funding.app import service
from services.funding.consumers import subscribe
from services.funding.timers import TIMERS
from shared.clock import ENVIRONMENT_VARIABLE, business_now
from shared.config import ServiceSettings
from shared.db import Database
from shared.events.base import EVENT_TYPES
from shared.events.call import Call
from shared.events.intake import (
    ApplicationSubmitted,
    ApplicationWithdrawn,
    CallPublished,
    GrantAccepted,
    GrantDeclined,
    RoundClosed,
)
from shared.events.review import ApplicationInadmissible, Scored, ScoreVoided
from shared.identity import Issuer, Staff, signed_in
from shared.ids import new_id
from shared.service import Runtime, make_app
from tests.bench import CAUSE, ServiceBench, round_closed
from tests.databases import Databases
from tests.declared import client_of

CALL = "atelier-2030"
R1, R2 = "atelier-2030-r1", "atelier-2030-r2"
OPENS = datetime(2030, 1, 7, 8, tzinfo=UTC)
CLOSES = datetime(2030, 2, 1, 17, tzinfo=UTC)
DECIDES = datetime(2030, 2, 20, 9, tzinfo=UTC)
ANNOUNCES = datetime(2030, 3, 1, 9, tzinfo=UTC)


def both(text: str) -> dict[str, str]:
    return {"fr": text, "en": text}


def a_round(round_id: str, after_months: int = 0, **changes: Any) -> dict[str, Any]:
    later = timedelta(days=90 * after_months)
    dates = {"opens_at": OPENS + later, "closes_at": CLOSES + later, "announce_at": ANNOUNCES + later}
    return {"id": round_id, **dates, **changes}


def a_call(**changes: Any) -> Call:
    """A small call: 100,000 €, grants of 10,000 to 40,000 €, pass mark 60, one round."""
    file: dict[str, Any] = {
        "id": CALL,
        "version": 1,
        "title": both("Atelier"),
        "reference_prefix": "ATL",
        "time_zone": "Europe/Paris",
        "grace_s": 60,
        "funder": {"name": "Un fonds", "siret": "00002023000017"},
        "envelope_eur": 100_000,
        "grant": {"min_eur": 10_000, "max_eur": 40_000},
        "kinds": [{"id": "school", "text": both("École")}],
        "themes": [{"id": "support", "text": both("Accompagnement")}],
        "project": {"starts_within_months": 3, "ends_by": "2031-12-31"},
        "rounds": [a_round(R1)],
        "admissibility": [{"id": "theme", "text": both("Thème")}],
        "rubric": {
            "criteria": [
                {"id": "relevance", "weight": "1", "text": both("Pertinence"), "anchors": {}},
                {"id": "inclusion", "weight": "1", "text": both("Inclusion"), "anchors": {}},
            ],
            "reviewers_per_application": 2, "max_spread": "20", "pass_mark": "60",
        },
        "decision": "chair",
        "allocation": "ranked",
        "shortfall": "stop",
        "tie_break": ["inclusion", "relevance"],
        "answer_within_days": 30,
        "convention_within_days": 60,
        "applications_per_organisation": 1,
        "appeal": both("Recours"),
    }  # fmt: skip
    return Call.model_validate(file | changes)


def published(call: Call) -> CallPublished:
    return CallPublished(occurred_at=OPENS - timedelta(days=1), call_id=call.id, call_version=call.version, call=call)


@dataclass(frozen=True)
class Dossier:
    """One application of a test, and the events about it."""

    number: int
    requested_eur: int = 30_000
    round_id: str = R1
    call_id: str = CALL
    id: str = field(default_factory=new_id)

    @property
    def _identity(self) -> dict[str, Any]:
        return {
            "call_id": self.call_id, "call_version": 1, "round_id": self.round_id, "application_id": self.id,
            "occurred_at": OPENS + timedelta(hours=self.number),
        }  # fmt: skip

    def submitted(self) -> ApplicationSubmitted:
        return ApplicationSubmitted.model_validate({
            **self._identity, "reference": f"ATL-2030-{self.number:04d}", "applicant_id": new_id(),
            "organisation": {"name": f"École {self.number}", "siret": "00002023000017", "kind": "school",
                             "region": "Grand Est"},
            "project": {"title": f"Projet {self.number}", "summary": "…", "themes": ["support"],
                        "requested_eur": self.requested_eur, "starts_on": "2030-06-01", "ends_on": "2031-06-01"},
            "submitted_at": OPENS + timedelta(hours=self.number),
        })  # fmt: skip

    def scored(
        self, score: str | Decimal, revision: int = 1, recommended_eur: int | None = None, **means: str
    ) -> Scored:
        mean = Decimal(score) / 20
        return Scored.model_validate({
            **self._identity, "revision": revision, "score": score, "basis": "agreed",
            "criteria": {"relevance": mean, "inclusion": mean, **means}, "evaluations": 2, "spread": "0",
            "recommended_eur": recommended_eur, "formula_version": 1,
        })  # fmt: skip

    def voided(self, revision: int = 1) -> ScoreVoided:
        return ScoreVoided(**self._identity, revision=revision, reason="a late conflict")

    def inadmissible(self) -> ApplicationInadmissible:
        return ApplicationInadmissible(**self._identity, checks={"theme": False}, reason="no theme")

    def withdrawn(self) -> ApplicationWithdrawn:
        return ApplicationWithdrawn(**self._identity, reason="another plan")

    def accepted(self, grant_id: str, at: datetime = ANNOUNCES + timedelta(days=1)) -> GrantAccepted:
        return GrantAccepted(**{**self._identity, "occurred_at": at}, grant_id=grant_id)

    def declined(self, grant_id: str) -> GrantDeclined:
        return GrantDeclined(**self._identity, grant_id=grant_id)


def dossiers(count: int, **changes: Any) -> list[Dossier]:
    return [Dossier(number, **changes) for number in range(1, count + 1)]


def closed(members: Sequence[Dossier], round_id: str = R1, call_version: int = 1) -> RoundClosed:
    return round_closed(CALL, round_id, CLOSES, [each.id for each in members], call_version)


@dataclass(frozen=True)
class Said:
    """One event that funding left in its outbox."""

    event: Any
    sequence: int
    causation_id: str

    @property
    def name(self) -> str:
        return type(self.event).__name__


class Funding(ServiceBench):
    """A funding service of a test."""

    def __init__(self, db: Database, clock: Path) -> None:
        super().__init__(db, subscribe, clock)
        self.at(OPENS)

    async def fire(self) -> int:
        """Run the timers until nothing is due; how many runs it took."""
        runs = 0
        while True:
            async with self.db.transaction() as tx:
                for timer in TIMERS:
                    due = await timer.next_due(tx)
                    if due is not None and due <= business_now():
                        await timer.run(tx, business_now(), CAUSE)
                        runs += 1
                        break
                else:
                    return runs

    async def next_timer(self) -> datetime | None:
        async with self.db.transaction() as tx:
            due = [await timer.next_due(tx) for timer in TIMERS]
        return min((at for at in due if at is not None), default=None)

    async def said(self, *names: str) -> list[Said]:
        """What funding has said, in order, of these types if named."""
        rows = await self.rows("SELECT type, payload, sequence, causation_id FROM outbox ORDER BY id")
        everything = [
            Said(EVENT_TYPES[row["type"]].model_validate_json(row["payload"]), row["sequence"], row["causation_id"])
            for row in rows
        ]
        return [each for each in everything if not names or each.name in names]

    async def balance(self) -> tuple[int, int, int]:
        """Available, reserved, committed."""
        (row,) = await self.rows("SELECT available_eur, reserved_eur, committed_eur FROM balance")
        return row["available_eur"], row["reserved_eur"], row["committed_eur"]

    async def outcomes(self, members: Sequence[Dossier]) -> list[str]:
        """The grant's state or the outcome of each application, by their order."""
        rows = await self.rows(
            "SELECT CAST(a.application_id AS text) AS id, COALESCE(w.state, a.outcome, 'none') AS outcome"
            " FROM application a LEFT JOIN award w USING (application_id)"
        )
        found = {row["id"]: row["outcome"] for row in rows}
        return [found[each.id] for each in members]

    async def grant_of(self, dossier: Dossier) -> str:
        grant_id: str = await self.value(
            "SELECT CAST(grant_id AS text) FROM award WHERE application_id = CAST(:id AS uuid)", id=dossier.id
        )
        return grant_id

    def app(self) -> FastAPI:
        settings = ServiceSettings()
        return make_app(Runtime(service, settings, self.db, Issuer("http://127.0.0.1:1", "releve"), frozenset({"api"})))

    def staff(self, subject: str = "officer", *roles: str) -> httpx.AsyncClient:
        """The HTTP interface as a member of staff; an officer if no role is named."""
        app = self.app()
        app.dependency_overrides[signed_in] = lambda: Staff(subject, frozenset(roles or ("officer",)))
        return client_of(app, "http://funding/api/v1")

    async def decide(self, round_id: str = R1, subject: str = "officer") -> httpx.Response:
        """Confirm the round's current proposal."""
        async with self.staff(subject) as client:
            proposal = (await client.get(f"/rounds/{round_id}/ranking")).json()["proposal"]["id"]
            return await client.post(f"/rounds/{round_id}/decision", json={"proposal": proposal})

    async def decided(self, call: Call, members: Sequence[Dossier], scores: Sequence[str]) -> None:
        """Bring one round of a call to its decision."""
        await self.receive(published(call), *(each.submitted() for each in members))
        await self.receive(closed(members))
        await self.receive(*(each.scored(score) for each, score in zip(members, scores, strict=True)))
        self.at(DECIDES)
        if call.decision == "chair":
            answer = await self.decide()
            assert answer.status_code == httpx.codes.OK, answer.text

    async def announced(self, call: Call, members: Sequence[Dossier], scores: Sequence[str]) -> None:
        """Bring one round of a call to its announcement."""
        await self.decided(call, members, scores)
        self.at(ANNOUNCES)
        await self.fire()


async def a_funding(databases: Databases, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Funding:
    """A fresh funding service for one test, with a clock of its own."""
    clock = folder / "clock"
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(clock))
    return Funding(await databases("funding"), clock)


def recomputed(events: Sequence[Any]) -> tuple[int, int, int]:
    """The accounts after the last event, from `funding.grants` alone: available, reserved, committed."""
    return recomputed_by_entry(events)[-1]


def recomputed_by_entry(events: Sequence[Any]) -> list[tuple[int, int, int]]:
    """The accounts of one call after each ledger entry, 0 first, from `funding.grants` alone.

    Fails where an entry is missing or double, or an account goes below zero at any instant.
    """
    moves = sorted((e for e in events if hasattr(e, "ledger_entry")), key=lambda e: e.ledger_entry)
    numbers = [e.ledger_entry for e in moves]
    assert numbers == list(range(1, len(moves) + 1)), f"the entries are {numbers}"
    available = reserved = committed = envelope = 0
    signed: set[str] = set()
    after = [(0, 0, 0)]
    for event in moves:
        match event:
            case _ if hasattr(event, "envelope_eur"):
                available, envelope = available + event.envelope_eur - envelope, event.envelope_eur
            case _ if hasattr(event, "signed_on"):
                signed.add(event.grant_id)
                reserved, committed = reserved - event.amount_eur, committed + event.amount_eur
            case _ if hasattr(event, "answer_by"):
                available, reserved = available - event.amount_eur, reserved + event.amount_eur
            case _ if event.grant_id in signed:
                available, committed = available + event.amount_eur, committed - event.amount_eur
            case _:
                available, reserved = available + event.amount_eur, reserved - event.amount_eur
        after.append((available, reserved, committed))
        assert min(after[-1]) >= 0, f"after entry {event.ledger_entry} the accounts are {after[-1]}"
        assert sum(after[-1]) == envelope, f"after entry {event.ledger_entry} {after[-1]} are not {envelope}"
    return after


def plain(value: Any) -> Any:
    """A value as JSON would have it: for comparing answers."""
    return json.loads(json.dumps(value, default=str))
