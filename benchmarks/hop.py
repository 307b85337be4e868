"""Hops: events on a topic, their effect in a service's database, and what follows on the next topic, per service.

The rows that count as the same. Intake: an inbox row and a fact of an application that it holds, `Scored` and a sealed
`GrantAwarded` in turn (no laureate follows). Review: an inbox row, the application with its dossier and its round's
count; the rounds' closings make it admit them all by itself, so that each also gives an outbox row and an
`ApplicationAdmitted` on review's topic: the one hop that goes on by itself. Funding: an inbox row and one of the two
halves of an application, submitted or scored, in either order, with its round's counts. Notify: an inbox row, what
letters say of the application, and its receipt in the queue (it waits for a contact, so that no mail is sent; the
mailer's looks at it are the product's own cost). Intake's, funding's and notify's hop ends at these rows.

Contenders are processes of their own that are held at the inbox until every event lies on the topics; the clock runs
from there to the last effect and, in review, to the last acknowledgement of the relay. Calls are published before.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import asyncpg
import psutil

from benchmarks import gate
from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place, process
from deploy.local.ports import choose_ports
from shared.config import Settings
from shared.db import Database
from shared.events.call import Call
from shared.events.topics import Topic
from shared.messaging.administer import create_topics
from shared.messaging.consume import Consumer
from shared.messaging.records import RawRecord
from tests.databases import Addresses
from tests.hops import HOPS, Hop, call_of_run, know, published
from tests.open_call import publish

EVENTS, PLAIN_EVENTS = 10_000, 600
"""Applications of one run (for intake and funding: events, two of each application)."""
_runs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Side:
    """One contender of one hop: its database, and the topics that it hears and that it relays to."""

    name: str
    hop: Hop
    addresses: Addresses
    topics: Mapping[str, str]
    next: str

    @property
    def groups(self) -> list[str]:
        """Its consumers' names in the inbox."""
        return [f"{self.hop.service if self.name == 'releve' else self.name}.{each}" for each in self.hop.topics]


@asynccontextmanager
async def opened(place: Place, hop: Hop) -> AsyncIterator[Mapping[str, Contender]]:
    """The three contenders of one service's hop, each a running process with a database of its own."""
    async with AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for name in ("limit", "plain", "releve"):
            side = await _side(place, hop, name)
            pid = await stack.enter_async_context(_started(place, side))
            owner = await asyncpg.connect(side.addresses.owner)
            stack.push_async_callback(owner.close)
            contenders[name] = partial(_run, place, side, owner, psutil.Process(pid))
        yield contenders


async def _side(place: Place, hop: Hop, name: str) -> Side:
    addresses = await place.databases.addresses(hop.service)
    if name == "releve":
        for topic in hop.topics:
            await gate.begin_at_the_end(place.kafka, f"{hop.service}.{topic}", topic)
        return Side(name, hop, addresses, {each: each for each in hop.topics}, hop.emits or "")
    own = f"bench{os.getpid()}.{hop.service}.{name}"
    topics, following = {each: f"{own}.{each}" for each in hop.topics}, f"{own}.next"
    declared = [Topic(each, (), "", (), ()) for each in (*topics.values(), following)]
    await create_topics(place.kafka, topics=declared)
    return Side(name, hop, addresses, topics, following)


def _started(place: Place, side: Side) -> AbstractAsyncContextManager[int]:
    """The contender's process."""
    service, url = side.hop.service, side.addresses.runtime
    log = f"hop-{service}-{side.name}"
    if side.name != "releve":
        environment = {
            "HOP_SERVICE": service, "HOP_DATABASE_URL": url, "HOP_KAFKA": place.kafka, "HOP_NEXT": side.next,
            "HOP_TOPICS": json.dumps(side.topics),
        }  # fmt: skip
        return process(place, log, "-m", f"benchmarks.baselines.hop_{side.name}", environment=environment)
    own = f"RELEVE_{service.upper()}"
    environment = {
        f"{own}_DATABASE_URL": url, f"{own}_PORT": str(choose_ports([service])[service]),
        "RELEVE_KAFKA_BOOTSTRAP_SERVERS": place.kafka,
    }  # fmt: skip
    roles = ("--role", "consume", "--role", "relay")
    return process(place, log, "-m", f"services.{service}", *roles, environment=environment)


async def _run(
    place: Place, side: Side, owner: asyncpg.Connection, running: psutil.Process
) -> Mapping[str, float]:
    """One run: `per_s` events, and the process's own `cpu_us` of each."""
    call = call_of_run(f"b{next(_runs)}")
    await _publish(side, call)
    records = side.hop.make(call, PLAIN_EVENTS if side.name == "plain" else EVENTS)
    if side.hop.known_before:
        await know(owner, call, records)
    effects, emitted = await owner.fetchval(side.hop.effects), await _emitted(place, side)
    async with gate.closed_gate(owner):
        work = await gate.produce(place.kafka, records, side.topics)
        await gate.until_held(owner)
        spent_s, started = _cpu_s(running), time.perf_counter()
    await gate.until_done(owner, side.groups, work)
    seconds, spent_s = time.perf_counter() - started, _cpu_s(running) - spent_s
    wanted = sum(each.of_application for each in records)
    if await owner.fetchval(side.hop.effects) - effects != wanted:
        raise RuntimeError(f"{side.name}: not every event had its effect")
    if side.hop.emits and await _emitted(place, side) - emitted != wanted:
        raise RuntimeError(f"{side.name}: not every effect was told")
    return {"per_s": work.events / seconds, "cpu_us": spent_s / work.events * 1e6}


async def _publish(side: Side, call: Call) -> None:
    """Make a call known in a service's database, by its own consumer; in intake's, where it is published."""
    service = side.hop.service
    db = Database(side.addresses.runtime, service)
    try:
        if service == "intake":
            await publish(db, call)
            return
        subscriptions = importlib.import_module(f"services.{service}.app").service.subscriptions
        told = published(call)
        raw = RawRecord(told.topic, 0, next(_runs), told.key, told.value, tuple(told.headers))
        await Consumer(db, subscriptions, told.topic, Settings()).take([raw])
    finally:
        await db.close()


async def _emitted(place: Place, side: Side) -> int:
    return sum((await gate.ends_of(place.kafka, side.next)).values()) if side.hop.emits else 0


def _cpu_s(running: psutil.Process) -> float:
    times = running.cpu_times()
    return float(times.user + times.system)


def _benchmark(hop: Hop) -> Benchmark:
    heard = " and ".join(hop.topics)
    return Benchmark(
        name=f"hop of {hop.service}",
        work=f"{EVENTS:,} events on {heard} → inbox, effect" + (f", outbox → {hop.emits}" if hop.emits else ""),
        open=partial(opened, hop=hop),
        aims=(
            Aim("of the limit", ("releve", "per_s"), ("limit", "per_s"), at_least=0.70),
            Aim("times the plain way", ("releve", "per_s"), ("plain", "per_s"), at_least=8),
        ),
        rounds=3,
        known={"limit": "16,700/s of 600 B without a relay, 6,000/s with it", "plain": "500/s"},
    )


BENCHMARKS = tuple(_benchmark(hop) for hop in HOPS)
