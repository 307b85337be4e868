"""A call, a submission, and an intake service to give them to, as tests of intake need them."""

import copy
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.intake.app import closing, open_desk, service
from services.intake.consumers import subscribe
from services.intake.handlers.submit import Desk
from services.intake.settings import IntakeSettings
from shared.clock import ENVIRONMENT_VARIABLE, business_now, write_clock
from shared.db import Database
from shared.events import funding, notify, review
from shared.events.base import EVENT_TYPES, ApplicationEvent, Event
from shared.identity import Issuer, Staff
from shared.ids import new_id
from shared.messaging.consume import Consumer
from shared.messaging.records import RawRecord, event_headers
from shared.service import Runtime, make_app
from shared.telemetry import Cause
from shared.web.problems import Problem
from tests.builders_history import call_of
from tests.databases import Databases
from tests.declared import client_of

CALL = "innovation-2021"
R1, R2 = "innovation-2021-r1", "innovation-2021-r2"
BEFORE = datetime(2021, 6, 1, 9, tzinfo=UTC)
OPEN = datetime(2021, 6, 14, 8, 5, tzinfo=UTC)
CLOSES = datetime(2021, 7, 31, 21, 59, 59, tzinfo=UTC)
GRACE = timedelta(seconds=300)
ANNOUNCED = datetime(2021, 9, 24, 8, tzinfo=UTC)
ANSWER_BY = datetime(2021, 10, 24, 21, 59, 59, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CAUSE = Cause("test:1", TRACE)


def call_document(**changes: Any) -> dict[str, Any]:
    """The call of 2021 as JSON, some of its fields changed."""
    return call_of().model_dump(mode="json") | changes


SUBMISSION: dict[str, Any] = {
    "organisation": {
        "name": "Ada Tech School",
        "siret": "00000101600013",
        "kind": "training_organisation",
        "region": "Île-de-France",
    },
    "contact": {"name": "Rachida Estève", "email": "rachida.esteve@ecole.example.org", "language": "fr"},
    "project": {
        "title": "Lovelace",
        "summary": "Une plateforme d'enseignement.",
        "themes": ["pedagogy"],
        "publics": ["women"],
        "requested_eur": 35000,
        "starts_on": "2021-12-01",
        "ends_on": "2022-11-30",
        "answers": {"means": "Une plateforme."},
    },
    "declarations": {"not_in_labelled_use": True},
}


def submission(**changes: Any) -> dict[str, Any]:
    """A good submission with some fields changed by their dotted paths, `__` for a dot; None removes one."""
    body = copy.deepcopy(SUBMISSION)
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = body
        for name in parents:
            part = part[name]
        if value is None:
            part.pop(last, None)
        else:
            part[last] = value
    return body


class KnownStaff(Issuer):
    """An issuer whose tokens are the roles that they give."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", "releve")

    async def staff(self, token: str) -> Staff:
        if token not in ("administrator", "officer"):
            raise Problem(401, "unauthenticated", "The token does not hold.")
        return Staff(f"some-{token}", frozenset({token}))


@dataclass
class IntakeBench:
    """Intake over HTTP and its consumers, on a real database, at a clock that the test moves."""

    db: Database
    http: httpx.AsyncClient
    runtime: Runtime
    clock: Path
    offsets: int = 0
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    async def start(cls, databases: Databases, folder: Path, patch: pytest.MonkeyPatch) -> "IntakeBench":
        """An intake of its own, before the call opens."""
        return await cls.over(await databases("intake"), folder, patch)

    @classmethod
    async def over(cls, db: Database, folder: Path, patch: pytest.MonkeyPatch) -> "IntakeBench":
        """The same over a database that the test has opened."""
        clock = folder / "clock"
        write_clock(clock, BEFORE)
        patch.setenv(ENVIRONMENT_VARIABLE, str(clock))
        settings = IntakeSettings(retry_first_s=0.01, retry_longest_s=0.05, public_url="http://releve.example.org/")
        runtime = Runtime(service, settings, db, KnownStaff(), frozenset({"api"}))
        await open_desk(runtime)
        return cls(db, client_of(make_app(runtime), "http://releve.example.org", raises=False), runtime, clock)

    @property
    def desk(self) -> Desk:
        desk: Desk = self.runtime.parts["desk"]
        return desk

    def at(self, instant: datetime) -> None:
        """Move the clock."""
        write_clock(self.clock, instant)

    async def publish(self, document: dict[str, Any] | None = None, role: str = "administrator") -> httpx.Response:
        """Publish a call."""
        wanted = document or call_document()
        return await self.http.put(
            f"/api/v1/calls/{wanted['id']}", json=wanted, headers={"Authorization": f"Bearer {role}"}
        )

    async def submit(self, body: Any = None, key: str | None = None, call_id: str = CALL) -> httpx.Response:
        """Deposit an application, with a key of its own unless one is named."""
        sent = SUBMISSION if body is None else body
        headers = {"Idempotency-Key": new_id() if key is None else key}
        content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        return await self.http.post(f"/api/v1/calls/{call_id}/applications", content=content, headers=headers)

    async def deposited(self, **changes: Any) -> "Applicant":
        """The applicant of an application that was taken."""
        answer = await self.submit(submission(**changes))
        assert answer.status_code == 201, answer.text
        return Applicant(self, answer.json())

    async def opened(self) -> None:
        """The call is published and its first round is open."""
        assert (await self.publish()).status_code == 200
        self.at(OPEN)

    async def close_due(self) -> None:
        """What the timer does."""
        async with self.db.transaction() as tx:
            await closing.run(tx, business_now(), CAUSE)

    def record(self, event: Event, sequence: int | None = None) -> RawRecord:
        """An event as its topic would hold it."""
        place = (event.topic_name, event.key)
        self.sequences[place] = sequence or self.sequences.get(place, 0) + 1
        self.offsets += 1
        headers = event_headers(
            new_id(), event.type_name(), "test", event.key, event.occurred_at.isoformat(), self.sequences[place],
            CAUSE.id, TRACE,
        )  # fmt: skip
        value = event.model_dump_json().encode()
        return RawRecord(event.topic_name, 0, self.offsets, event.key.encode(), value, tuple(headers))

    async def take(self, *records: RawRecord) -> None:
        """Deliver records, each topic to its consumer, and then all of them again."""
        for _ in range(2):
            for record in records:
                await Consumer(self.db, subscribe, record.topic, self.runtime.settings).take([record])

    async def learn(self, *events: Event) -> None:
        """Deliver events twice, numbered in the order in which they are named."""
        await self.take(*[self.record(event) for event in events])

    async def said(self, kind: type[Event]) -> list[Any]:
        """The events of a type that wait in the outbox, in order."""
        async with self.db.transaction() as tx:
            rows = await tx.fetch_all(
                "SELECT payload FROM outbox WHERE type = :type ORDER BY id", type=kind.type_name()
            )
        return [EVENT_TYPES[kind.type_name()].model_validate_json(row["payload"]) for row in rows]

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        async with self.db.transaction() as tx:
            return int(await tx.fetch_value(f"SELECT count(*) FROM {table}"))  # noqa: S608

    async def laureates(self, call_id: str = CALL) -> dict[str, Any]:
        """The first page of the public list."""
        document: dict[str, Any] = (await self.http.get(f"/api/v1/calls/{call_id}/laureates")).json()
        return document


@dataclass
class Applicant:
    """Who holds the receipt of one application."""

    bench: IntakeBench
    receipt: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.receipt["application_id"])

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.receipt['access_token']}"}

    async def sees(self) -> dict[str, Any]:
        answer = await self.bench.http.get(f"/api/v1/applications/{self.id}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def status(self) -> str:
        return str((await self.sees())["status"])

    async def does(self, command: str, body: Any = None) -> httpx.Response:
        wanted = {"reason": "Plus de moyens."} if body is None and command == "withdraw" else body
        return await self.bench.http.post(
            f"/api/v1/applications/{self.id}/{command}", json=wanted, headers=self.headers
        )

    def about(self, kind: type[ApplicationEvent], at: datetime, **fields: Any) -> Any:
        """An event about this application."""
        return about(self.id, kind, at, **fields)

    async def is_awarded(self, *, announced: bool = True) -> None:
        """Admitted, scored and awarded under seal; announced or not."""
        await self.bench.learn(*life(self.id)[: 4 if announced else 3])


def about(application_id: str, kind: type[ApplicationEvent], at: datetime, **fields: Any) -> Any:
    """An event about an application of the first round."""
    return kind(
        occurred_at=at, call_id=CALL, call_version=1, round_id=R1, application_id=application_id, **fields
    )  # fmt: skip


GRANT = "0190d5c0-0000-7000-8000-0000000000aa"


def life(application_id: str) -> list[Any]:
    """The whole life of a grant: admitted, scored, awarded, announced, letter, signed, started, completed."""

    def event(kind: type[ApplicationEvent], at: datetime, **fields: Any) -> Any:
        return about(application_id, kind, at, **fields)

    return [
        event(review.ApplicationAdmitted, CLOSES + timedelta(days=10), checks={"theme": True}),
        event(
            review.Scored, CLOSES + timedelta(days=30), revision=1, score="72.50", basis="agreed", criteria={},
            evaluations=2, spread="4.00", formula_version=1,
        ),
        event(
            funding.GrantAwarded, CLOSES + timedelta(days=40), grant_id=GRANT, amount_eur=30000, requested_eur=35000,
            rank=1, answer_by=ANSWER_BY, ledger_entry=2, sealed=True,
        ),
        event(funding.OutcomeAnnounced, ANNOUNCED, outcome="awarded"),
        event(
            notify.ApplicantNotified, ANNOUNCED + timedelta(minutes=1), delivery_id=new_id(), template="awarded",
            language="fr", message_id="<1@releve>", attempts=1,
        ),
        event(
            funding.ConventionSigned, ANSWER_BY, grant_id=GRANT, amount_eur=30000, signed_on=date(2021, 10, 24),
            ledger_entry=3,
        ),
        event(
            funding.ProjectStarted, ANSWER_BY + timedelta(days=40), grant_id=GRANT, started_on=date(2021, 12, 1)
        ),
        event(
            funding.ProjectCompleted, ANSWER_BY + timedelta(days=400), grant_id=GRANT, completed_on=date(2022, 11, 30)
        ),
    ]  # fmt: skip
