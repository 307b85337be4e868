"""Owns the limit of a whole call: what bare clients need for the same work, part after part, added up.

For N applications, each part alone on the machine, with nothing of the product but its tables:

- requests: N submissions, N admissibility checks and 3 x 2N reviewers' requests with the same bodies and as many
  connections, to one Starlette process that reads the JSON and answers 200 bytes. Looking, lists and decisions are
  left out: they are few.
- rows: the rows that those requests leave, in intake's and review's own tables with their indexes and checks, one
  transaction a request, by pgbench over as many connections; a statement has all that one transaction writes, and
  reads and decides nothing.
- events: 8N events (contact, submission, admission, score, outcome, its announcement, two letters) relayed by a cursor,
  and read by three readers (24N deliveries; the real system has 23N), each writing inbox and effect, one of them an
  outbox row too, in batches of 500.
- decision: one `INSERT … SELECT` that ranks all and leaves two events for each.
- messages: 2N letters of 12 kB, already written, over 4 kept SMTP connections.

Not in it: reading what is decided on, rules, tokens, writing letters, the log, the index of operations' events.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from benchmarks.baselines import bare_events, bare_mail, bare_rows
from benchmarks.baselines.pgbench import run_script
from benchmarks.campaign import LETTERS_EACH, evaluation_of
from benchmarks.client import CONNECTIONS, ask_well, request
from benchmarks.place import Place, web_process
from benchmarks.sink import Sink, sunk
from benchmarks.submit import SAME_ROWS, _parameters
from shared.db import Database
from tests.dossiers import dossier
from tests.open_call import open_call, publish

EVENTS_EACH, READERS = 8, 3
MAIL_LINES, LETTER = 4, b"Subject: a letter\r\n\r\n" + (b"x" * 74 + b"\r\n") * 164
TOKEN = "x" * 700


@dataclass
class Limit:
    """The parts, ready to run."""

    place: Place
    app_url: str
    sink: Sink
    intake: str
    review: str
    filled: int = 0

    async def run(self, number: int, applications: int) -> dict[str, float]:
        """Every part in turn: seconds by part, and `seconds` for all."""
        parts: dict[str, Callable[[int, int], Awaitable[float]]] = {
            "requests_s": self._requests, "rows_s": self._rows, "events_s": self._events, "decision_s": self._decision,
            "messages_s": self._messages,
        }  # fmt: skip
        told = {name: await part(number, applications) for name, part in parts.items()}
        return {"seconds": sum(told.values())} | told

    async def _requests(self, _: int, applications: int) -> float:
        call = open_call()
        checks = {"checks": {each.id: True for each in call.admissibility}, "reason": ""}
        bodies = [dossier(number) for number in range(applications)]
        phases = [
            [request("POST", "/api/v1/calls/whole/applications", body, Idempotency_Key="key") for body in bodies],
            [request("POST", "/api/v1/applications/x/admissibility", checks, TOKEN)] * applications,
            [request("POST", "/api/v1/applications/x/conflict", {"kind": "none", "reason": ""}, TOKEN)]
            * (2 * applications),
            [request("PUT", "/api/v1/applications/x/evaluation", evaluation_of(call, 1), TOKEN)] * (2 * applications),
            [request("POST", "/api/v1/applications/x/evaluation/submit", None, TOKEN)] * (2 * applications),
        ]
        began = time.perf_counter()
        for requests in phases:
            await ask_well(self.app_url, requests)
        return time.perf_counter() - began

    async def _rows(self, _: int, applications: int) -> float:
        connection = await asyncpg.connect(self.review)
        for fill in (bare_rows.FILL, bare_rows.FILL_PLACES):
            await connection.execute(fill, self.filled, self.filled + applications)
        await connection.close()
        self.filled += applications
        content = {"content": json.dumps(evaluation_of(open_call(), 1), ensure_ascii=False)}
        nothing: Mapping[str, str] = {}
        scripts = (
            (self.intake, SAME_ROWS, _parameters(), 1), (self.review, bare_rows.CHECK, nothing, 1),
            (self.review, bare_rows.DECLARE, nothing, 2), (self.review, bare_rows.SAVE, content, 2),
            (self.review, bare_rows.SUBMIT, nothing, 2),
        )  # fmt: skip
        seconds = 0.0
        for dsn, script, variables, each in scripts:
            count = applications * each
            told = await run_script(dsn, script, variables, clients=CONNECTIONS, transactions=count)
            seconds += count / told["per_s"]
        return seconds

    async def _events(self, number: int, applications: int) -> float:
        topic, events = f"bare.whole-{number}", applications * EVENTS_EACH
        await bare_events.make_topic(self.place.kafka, topic)
        connection = await asyncpg.connect(self.review)
        await connection.execute(bare_events.FILL, events)
        await connection.close()
        began = time.perf_counter()
        await bare_events.relay(self.review, self.place.kafka, topic)
        for reader in range(READERS):
            await bare_events.read(self.review, self.place.kafka, topic, f"reader-{reader}", events, emits=reader == 0)
        return time.perf_counter() - began

    async def _decision(self, *_: int) -> float:
        connection = await asyncpg.connect(self.review)
        began = time.perf_counter()
        await connection.execute(bare_rows.DECIDE)
        seconds = time.perf_counter() - began
        await connection.close()
        return seconds

    async def _messages(self, _: int, applications: int) -> float:
        letters = applications * LETTERS_EACH
        recipients = [f"camille.{number}@ecole.example.org" for number in range(letters)]
        began = time.perf_counter()
        await bare_mail.post(self.sink.port, [LETTER] * letters, recipients, MAIL_LINES)
        return time.perf_counter() - began


@asynccontextmanager
async def limit(place: Place) -> AsyncIterator[Limit]:
    """A bare application, a sink, and a database each of intake and review."""
    intake, review = [await place.databases.addresses(name) for name in ("intake", "review")]
    db = Database(intake.runtime, "intake")
    await publish(db, open_call())
    await db.close()
    connection = await asyncpg.connect(review.owner)
    for statement in (bare_rows.SEQUENCES, bare_rows.DECIDED, bare_events.SCHEMA):
        await connection.execute(statement)
    await connection.close()
    async with (
        sunk(place, "bare-sink") as sink,
        web_process(
            place, "bare-app", "-m", "benchmarks.baselines.bare_app", environment={}, port_variable="BARE_PORT",
            ready="/healthz",
        ) as url,
    ):  # fmt: skip
        yield Limit(place, url, sink, intake.runtime, review.owner)
