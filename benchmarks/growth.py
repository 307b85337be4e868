"""Growth: with 5,000 and with 200,000 applications in one call, what submit, hop, status and decide cost for each."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx
import structlog

from benchmarks import deciding
from benchmarks.filled import fill, score, some_ids
from benchmarks.measure import Aim, Benchmark, Ceiling, Contender
from benchmarks.place import Place
from benchmarks.plans import Costs, explained, growth
from benchmarks.rounds import copied, decidable_call, fill_funding
from services.funding import consumers as of_funding
from services.intake import consumers as of_intake
from services.intake.app import open_desk
from services.intake.app import service as intake
from services.intake.settings import IntakeSettings
from services.notify import consumers as of_notify
from services.ops.consumers import IndexingConsumer
from services.ops.consumers import subscribe as of_ops
from services.review import consumers as of_review
from shared.config import ServiceSettings
from shared.db import Database
from shared.events.base import Event
from shared.events.intake import ApplicationSubmitted
from shared.events.review import Scored
from shared.identity import Issuer
from shared.ids import new_id
from shared.messaging.consume import Consumer
from shared.messaging.records import RawRecord, event_headers
from shared.service import Runtime, make_app
from shared.telemetry import Cause
from tests.databases import Addresses
from tests.dossiers import dossier
from tests.open_call import CALL_ID, ROUND_ID

SIZES = {"small": 5_000, "large": 200_000}
"""Applications in the call."""
SERVICES = ("intake", "review", "funding", "notify", "ops")
REQUESTS, EVENTS, BATCH, CLIENTS = 1_000, 4_000, 500, 16
EXPLAINED = 50
"""So few that a scan of the small call is no cheaper than its index."""
AT = "2026-02-01T09:00:00Z"
_numbers, _offsets = itertools.count(1_000_000), itertools.count(1_000_000)
Work = Callable[[Database, Addresses, int], Awaitable[float]]
"""Do something to so many applications; the seconds it took."""


@dataclass
class Grown:
    """A call of one size in every service's database, and a ready round of that size."""

    databases: Mapping[str, Addresses]
    ready: Addresses
    size: int
    costs: dict[str, Costs] = field(default_factory=dict)


def _client(db: Database, opened: Runtime) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(make_app(opened)), base_url="http://intake/api/v1")


async def _runtime(db: Database) -> Runtime:
    runtime = Runtime(intake, IntakeSettings(), db, Issuer("http://127.0.0.1:1", "releve"), frozenset({"api"}))
    await open_desk(runtime)
    return runtime


async def submit(db: Database, _: Addresses, count: int) -> float:
    """Submissions of several clients at once."""
    bodies = [json.dumps(dossier(next(_numbers))).encode() for _ in range(count)]
    async with _client(db, await _runtime(db)) as client:

        async def one_after_the_other(mine: Iterable[bytes]) -> None:
            for body in mine:
                answer = await client.post(
                    f"/calls/{CALL_ID}/applications", content=body,
                    headers={"Idempotency-Key": new_id(), "Content-Type": "application/json"},
                )  # fmt: skip
                assert answer.status_code == httpx.codes.CREATED, answer.text

        begun = time.perf_counter()
        await asyncio.gather(*(one_after_the_other(bodies[first::CLIENTS]) for first in range(CLIENTS)))
        return time.perf_counter() - begun


async def status(db: Database, addresses: Addresses, count: int) -> float:
    """Looks at the status of applications anywhere in the call."""
    runtime = await _runtime(db)
    access = runtime.parts["desk"].access
    ids = await some_ids(addresses, count)
    asked = [(each, {"Authorization": f"Bearer {access.token(each, 1)}"}) for each in ids]
    async with _client(db, runtime) as client:
        begun = time.perf_counter()
        for application_id, headers in asked:
            answer = await client.get(f"/applications/{application_id}", headers=headers)
            assert answer.status_code == httpx.codes.OK, answer.text
        return time.perf_counter() - begun


async def hop(consumer: Consumer, events: Sequence[Event]) -> float:
    """Batches of one topic through a service's consumer."""
    records = [_record(each) for each in events]
    begun = time.perf_counter()
    for first in range(0, len(records), BATCH):
        await consumer.take(records[first : first + BATCH])
    return time.perf_counter() - begun


async def take_submissions(db: Database, _: Addresses, count: int, *, made: Callable[[Database], Consumer]) -> float:
    """New applications come in."""
    return await hop(made(db), [_submitted(new_id()) for _ in range(count)])


async def take_scores(db: Database, addresses: Addresses, count: int, *, made: Callable[[Database], Consumer]) -> float:
    """Scores of applications anywhere in the call come in."""
    return await hop(made(db), [_scored(each) for each in await some_ids(addresses, count)])


async def take_both(db: Database, _: Addresses, count: int) -> float:
    """New applications come to funding, and their scores."""
    submitted = [_submitted(new_id()) for _ in range(count)]
    seconds = await hop(_on_applications(db, of_funding), submitted)
    scores = [_scored(each.application_id) for each in submitted]
    random.shuffle(scores)
    return seconds + await hop(_on_scores(db, of_funding), scores)


def _on_applications(db: Database, of: object) -> Consumer:
    return Consumer(db, of.subscribe, ApplicationSubmitted.topic, ServiceSettings())  # type: ignore[attr-defined]


def _on_scores(db: Database, of: object) -> Consumer:
    return Consumer(db, of.subscribe, Scored.topic, ServiceSettings())  # type: ignore[attr-defined]


def _indexing(db: Database) -> Consumer:
    return IndexingConsumer(db, of_ops, ApplicationSubmitted.topic, ServiceSettings())


def _submitted(application_id: str) -> ApplicationSubmitted:
    number = next(_numbers)
    body = dossier(number)
    organisation = body["organisation"] | {"siret": f"{number:09d}00013"}
    return ApplicationSubmitted.model_validate({
        "occurred_at": AT, "call_id": CALL_ID, "call_version": 1, "round_id": ROUND_ID, "submitted_at": AT,
        "application_id": application_id, "applicant_id": new_id(), "reference": f"BENCH-{number}",
        "organisation": organisation, "project": body["project"],
    })  # fmt: skip


def _scored(application_id: str) -> Scored:
    home = {"call_id": CALL_ID, "call_version": 1, "round_id": ROUND_ID, "application_id": application_id}
    return Scored.model_validate({**home, **score(), "occurred_at": AT})


def _record(event: Event) -> RawRecord:
    cause, offset = Cause.anew("bench"), next(_offsets)
    headers = event_headers(new_id(), event.type_name(), "bench", event.key, AT, offset, cause.id, cause.traceparent)
    payload = event.model_dump_json().encode()
    return RawRecord(event.topic_name, 0, offset, event.key.encode(), payload, tuple(headers))


WORKS: dict[str, tuple[str, Work, int]] = {
    "submit": ("intake", submit, REQUESTS),
    "status": ("intake", status, REQUESTS),
    "hop-review": ("review", partial(take_submissions, made=partial(_on_applications, of=of_review)), EVENTS),
    "hop-funding": ("funding", take_both, EVENTS),
    "hop-intake": ("intake", partial(take_scores, made=partial(_on_scores, of=of_intake)), EVENTS),
    "hop-notify": ("notify", partial(take_submissions, made=partial(_on_applications, of=of_notify)), EVENTS),
    "hop-ops": ("ops", partial(take_submissions, made=_indexing), EVENTS),
}
"""By name: in which service, what, and to how many applications in one measured run."""


async def _decide(place: Place, grown: Grown) -> float:
    """Rank and reserve the round; seconds for each application."""
    async with copied(place, "funding", grown.ready) as addresses:
        return (await deciding.decide(addresses.runtime, ROUND_ID))["seconds"] / grown.size


async def _explain(place: Place, grown: Grown) -> None:
    """What each statement of each work touches; for a decision, of each application."""
    for name, (service, work, count) in WORKS.items():
        addresses = grown.databases[service]
        async with explained(place, service, addresses) as (db, costs):
            await work(db, addresses, min(count, EXPLAINED))
        grown.costs[name] = costs
    async with (
        copied(place, "funding", grown.ready) as addresses,
        explained(place, "funding", addresses) as (db, costs),
    ):
        await deciding.decide_in(db, ROUND_ID)
    grown.costs["decide"] = costs


async def _run(place: Place, grown: Grown, other: Grown) -> Mapping[str, float]:
    """The microseconds for each application, and the worst growth of a statement's blocks since the other size."""
    figures = {}
    for name, (service, work, count) in WORKS.items():
        db = Database(grown.databases[service].runtime, service)
        figures[f"{name}_us"] = await work(db, grown.databases[service], count) / count * 1e6
        await db.close()
    figures["decide_us"] = await _decide(place, grown) * 1e6
    if not grown.costs:
        await _explain(place, grown)
    if grown.size > other.size and other.costs:
        for name, costs in grown.costs.items():
            figures[f"{name}_blocks"] = _worst(name, other, costs, grown)
    return figures


def _worst(name: str, other: Grown, costs: Costs, grown: Grown) -> float:
    small, large = other.costs[name].of_each(), costs.of_each()
    if name == "decide":
        small = {statement: blocks / other.size * 1000 for statement, blocks in small.items()}
        large = {statement: blocks / grown.size * 1000 for statement, blocks in large.items()}
    grown_by = growth(small, large)
    for statement, times in list(grown_by.items())[:3]:
        print(f"  {name}: {times:.2f} × from {small.get(statement, 0):.1f} blocks: {statement[:120]}", file=sys.stderr)
    return next(iter(grown_by.values()), 1)


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """Databases of both sizes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    grown = {}
    for name, size in SIZES.items():
        databases = {service: await place.databases.addresses(service) for service in SERVICES}
        for service, addresses in databases.items():
            await fill(service, addresses, size)
        ready = await place.databases.addresses("funding")
        await fill_funding(ready, decidable_call(), size)
        grown[name] = Grown(databases, ready, size)
    small, large = grown["small"], grown["large"]
    yield {"small": partial(_run, place, small, large), "large": partial(_run, place, large, small)}


EVERY = (*WORKS, "decide")
BENCHMARK = Benchmark(
    name="growth",
    work=f"one application more, with {SIZES['small']:,} and with {SIZES['large']:,} in the call",
    open=opened,
    aims=tuple(Aim(f"{name}: time", ("large", f"{name}_us"), ("small", f"{name}_us"), at_most=1.25) for name in EVERY),
    ceilings=tuple(
        Ceiling(f"{name}: blocks of the statement that grows most", ("large", f"{name}_blocks"), 1.5) for name in EVERY
    ),
    rounds=3,
)
