"""The deadline hour: 20,000 applicants come in the last moments of a round, many more at once than may wait.

Most come within seconds before the announced end, several times faster than they can be taken: the queue gets full, and
who comes then is turned away and comes back after `Retry-After`, which the call's written grace is for. The others come
around the end of that grace, half of them too late. Then the round closes, and everything is held side by side: what
each applicant saw, the rows, the topic, the round's count (`benchmarks/answered.py`). A broken promise is an error.

`ordinary` are as many clients as `submit` has, at the same processes. All are started anew for each run, so that
memory is of that run alone.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import psutil

from benchmarks import gate
from benchmarks.answered import BUSY, Stored, Told, storing_try, violations
from benchmarks.measure import Aim, Benchmark, Ceiling, Contender
from benchmarks.place import Place, process, until_it_answers
from benchmarks.rush import PREPARE_S, Applicant, Plan, rushed
from benchmarks.submit import PROCESSES, submitted
from deploy.local.ports import choose_ports
from services.intake.settings import IntakeSettings
from shared.db import Database
from shared.events.call import Call
from shared.history.reading import Start, read_raw
from tests.databases import Addresses
from tests.open_call import open_call, publish

APPLICANTS, ORDINARY = 20_000, 6_000
BEFORE_END = 0.85
"""The part of the applicants that come before the announced end; the others come around the end of the grace."""
RUSH_S, GRACE_S, AROUND_S = 5.0, 30, 1.0
"""How long the rush is, the call's grace, and how long before and after its end the last ones come."""
LONGEST_REQUEST_S = 8.0
"""The round closes so long after the grace: longer than a request that waits behind a full queue."""
AGAIN = 300
"""How many of those taken, and of those refused, send the same once more after the closing."""
SETTLED_WITHIN_S = 60.0
FEWEST_TURNED_AWAY, FEWEST_LATE = 100, 100
"""Else the run has not shown what it is for."""

ROWS = """
SELECT a.application_id::text, i.key, a.reference, a.submitted_at
FROM application a LEFT JOIN idempotency i USING (application_id) WHERE a.call_id = $1
"""
ANSWERING, BEHIND = ("--role", "api"), ("--role", "relay", "--role", "timers")
_runs = itertools.count(1)


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Mapping[str, Contender]]:
    """One database for both loads, with a call that is always open for the ordinary one."""
    addresses = await place.databases.addresses("intake")
    db = Database(addresses.runtime, "intake")
    owner = await asyncpg.connect(addresses.owner)
    try:
        await publish(db, open_call())
        yield {
            "ordinary": partial(_ordinary, place, addresses, owner),
            "deadline": partial(_deadline, place, addresses, owner, db),
        }
    finally:
        await owner.close()
        await db.close()


@asynccontextmanager
async def _intake(place: Place, addresses: Addresses) -> AsyncIterator[tuple[list[str], list[psutil.Process]]]:
    """The service's processes: two that answer, and one that relays and closes rounds. Addresses, and who answers."""
    environment = {
        "RELEVE_INTAKE_DATABASE_URL": addresses.runtime, "RELEVE_KAFKA_BOOTSTRAP_SERVERS": place.kafka,
        "RELEVE_REQUEST_LONGEST_S": str(LONGEST_REQUEST_S),
    }  # fmt: skip
    names = [f"deadline-{number}" for number in range(PROCESSES)]
    ports = choose_ports([*names, "deadline-behind"])
    async with AsyncExitStack() as stack:
        pids = [
            await stack.enter_async_context(process(
                place, name, "-m", "services.intake", *roles,
                environment=environment | {"RELEVE_INTAKE_PORT": str(ports[name])},
            ))
            for name, roles in ((name, BEHIND if name == "deadline-behind" else ANSWERING) for name in ports)
        ]  # fmt: skip
        urls = [f"http://127.0.0.1:{ports[name]}" for name in names]
        for name in ports:
            await until_it_answers(f"http://127.0.0.1:{ports[name]}/readyz", place.folder / f"{name}.log")
        yield urls, [psutil.Process(pid) for pid in pids[:PROCESSES]]


async def _ordinary(place: Place, addresses: Addresses, owner: asyncpg.Connection) -> Mapping[str, float]:
    async with _intake(place, addresses) as (urls, serving), _memory(serving) as figures:
        first = 100_000_000 + next(_runs) * ORDINARY
        taken = await submitted(urls, ORDINARY, first)
        await gate.until_relayed(owner)
    return dict(taken) | figures


async def _deadline(place: Place, addresses: Addresses, owner: asyncpg.Connection, db: Database) -> Mapping[str, float]:
    async with _intake(place, addresses) as (urls, serving), _memory(serving) as figures:
        run, began = next(_runs), time.time() + PREPARE_S
        call = call_that_ends(f"deadline-{run}", datetime.fromtimestamp(began + RUSH_S, UTC))
        taken_until = began + RUSH_S + GRACE_S
        await publish(db, call)
        path = f"/api/v1/calls/{call.id}/applications"
        moments = arrivals(began, began + RUSH_S, taken_until, range(run * APPLICANTS, (run + 1) * APPLICANTS))
        applicants = await rushed(Plan(urls, path, moments))
        await _until_closed(owner, call)
        await gate.until_relayed(owner)
        await _same_again(Plan(urls, path, {}), applicants)
        stored = [Stored(*row) for row in await owner.fetch(ROWS, call.id)]
        told = await _told(place, call, began)
    broken = list(violations(applicants, stored, told, taken_until))
    if broken:
        raise RuntimeError(f"{len(broken)} promises were broken: " + "; ".join(broken[:5]))
    return _figures(applicants, stored, began, taken_until) | figures


def call_that_ends(call_id: str, at: datetime) -> Call:
    """A call whose only round is announced to end then."""
    only = {
        "id": f"{call_id}-r1", "opens_at": "2000-01-01T00:00:00Z", "closes_at": at.isoformat(),
        "announce_at": (at + timedelta(days=30)).isoformat(),
    }  # fmt: skip
    prefix = call_id.replace("-", "").upper()
    return open_call(id=call_id, reference_prefix=prefix, rounds=[only], grace_s=GRACE_S)


def arrivals(began: float, closes: float, taken_until: float, numbers: range) -> dict[int, float]:
    """When each applicant comes: most evenly until the announced end, the others around the end of the grace."""
    before = int(len(numbers) * BEFORE_END)
    among = random.Random(numbers.start)
    rush = [among.uniform(began, closes) for _ in range(before)]
    last = [among.uniform(taken_until - AROUND_S, taken_until + AROUND_S) for _ in range(len(numbers) - before)]
    return dict(zip(numbers, sorted([*rush, *last]), strict=True))


@asynccontextmanager
async def _memory(serving: Sequence[psutil.Process]) -> AsyncIterator[dict[str, float]]:
    """The memory of the largest process in MB, at the start and at its highest; known at the end."""
    figures = {"start_mb": _largest_mb(serving), "peak_mb": 0.0}

    async def look() -> None:
        while True:
            figures["peak_mb"] = max(figures["peak_mb"], _largest_mb(serving))
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    try:
        yield figures
    finally:
        looking.cancel()


def _largest_mb(serving: Sequence[psutil.Process]) -> float:
    return float(max(each.memory_info().rss for each in serving)) / 1e6


async def _until_closed(owner: asyncpg.Connection, call: Call) -> None:
    async with asyncio.timeout(SETTLED_WITHIN_S):
        while await owner.fetchval("SELECT closed_at IS NULL FROM round WHERE call_id = $1", call.id):
            await asyncio.sleep(0.05)


async def _same_again(plan: Plan, applicants: Sequence[Applicant]) -> None:
    """After the closing, the same key and body get the same answer. Raises RuntimeError."""
    taken = [each for each in applicants if each.taken][:AGAIN]
    refused = [each for each in applicants if not each.taken][:AGAIN]
    now = time.time() + PREPARE_S / 2
    again = await rushed(Plan(plan.urls, plan.path, {each.number: now for each in [*taken, *refused]}))
    for first, second in zip([*taken, *refused], again, strict=True):
        if (first.taken, first.document) != (second.taken, second.document):
            raise RuntimeError(f"{first.key} got another answer after the closing: {second.tries[-1].status}")


async def _told(place: Place, call: Call, since: float) -> Told:
    """What the topic says of a call's round."""
    told = Told()
    start, name = Start(at=datetime.fromtimestamp(since, UTC)), f'"{call.id}"'.encode()
    wanted = ("intake.applications",)
    async for raw in read_raw(place.kafka, wanted, start, lambda raw: name in (raw.value or b"")):
        kind = dict(raw.headers)["ce_type"]
        document = json.loads(raw.value or b"")
        if kind == b"releve.RoundClosed.v1":
            told.closings.append((document["submitted"], document["applications_sha256"]))
        else:
            told.submitted.append((document["application_id"], datetime.fromisoformat(document["submitted_at"])))
    return told


def _figures(
    applicants: Sequence[Applicant], stored: Sequence[Stored], began: float, taken_until: float
) -> dict[str, float]:
    """What the rush was like. Times of those taken are of the request that was taken, and `wait` from the first on."""
    closes = taken_until - GRACE_S
    by_key = {each.key: each for each in applicants}
    found = [(by_key[row.key], row.submitted_at.timestamp()) for row in stored]
    tries = [(who, at, one) for who, at in found if (one := storing_try(who, at)) is not None]
    rush = [one.answered for who, _, one in tries if who.tries[0].sent <= closes]
    refused = [each for each in applicants if not each.taken]
    turned_away = sum(one.status == BUSY for each in applicants for one in each.tries)
    if turned_away < FEWEST_TURNED_AWAY or len(refused) < FEWEST_LATE:
        raise RuntimeError(f"no rush: {turned_away} were turned away, {len(refused)} came too late")
    answers_ms = [(one.answered - one.sent) * 1000 for _, _, one in tries]
    per_s = len(rush) / (max(rush) - began)
    return {
        "per_s": per_s,
        "p50_ms": _part(answers_ms, 0.5), "p99_ms": _part(answers_ms, 0.99),
        "full_ms": PROCESSES * IntakeSettings.model_fields["submissions_waiting"].default / per_s * 1000,
        "wait_p99_s": _part([who.tries[-1].answered - who.tries[0].sent for who, _, _ in tries], 0.99),
        "had_p99_ms": _part([(at - one.sent) * 1000 for _, at, one in tries], 0.99),
        "taken": len(tries), "turned_away": turned_away, "late": len(refused),
        "unanswered": sum(one.status == 0 for each in applicants for one in each.tries),
        "early_refused": sum(each.tries[0].sent <= closes for each in refused),
        "late_by_ms": max(0.0, *((taken_until - each.tries[-1].sent) * 1000 for each in refused)),
    }  # fmt: skip


def _part(values: Sequence[float], part: float) -> float:
    return sorted(values)[int(len(values) * part)]


BENCHMARK = Benchmark(
    name="deadline",
    work=f"{APPLICANTS:,} applicants in a round's last moments, {PROCESSES} processes, the queue full",
    open=opened,
    aims=(
        Aim("taken each second, over an ordinary load", ("deadline", "per_s"), ("ordinary", "per_s"), at_least=0.5),
        Aim("p99 over the time that a full queue takes", ("deadline", "p99_ms"), ("deadline", "full_ms"), at_most=2),
        Aim("memory over an ordinary load's", ("deadline", "peak_mb"), ("ordinary", "peak_mb")),
    ),
    ceilings=(
        Ceiling("memory of a process, MB", ("deadline", "peak_mb"), 300),
        Ceiling("who came before the announced end and was refused", ("deadline", "early_refused"), 0),
    ),
    rounds=1,
)
