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
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks import gate
from benchmarks.contender import NAMES, PRODUCT, Part, Side, make_topics, started
from benchmarks.measure import Aim, Benchmark, Contender
from benchmarks.place import Place
from shared.config import Settings
from shared.db import Database
from shared.events.call import Call
from shared.messaging.consume import Consumer
from shared.messaging.records import RawRecord
from tests.hops import HOPS, Hop, call_of_run, know, published
from tests.open_call import publish

EVENTS, PLAIN_EVENTS = 10_000, 600
"""Applications of one run (for intake and funding: events, two of each application)."""
_runs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Way:
    """What a contender of one hop works on: the topics it hears, by their declared names, and where it relays to."""

    name: str
    hop: Hop
    topics: Mapping[str, str]
    next: str

    @property
    def groups(self) -> list[str]:
        """Its consumers' names in the inbox."""
        return [f"{self.hop.service if self.name == PRODUCT else self.name}.{each}" for each in self.hop.topics]


@asynccontextmanager
async def opened(place: Place, hop: Hop) -> AsyncIterator[Mapping[str, Contender]]:
    """The three contenders of one service's hop."""
    part = Part("hop", hop.service, ("consume", "relay"))
    async with AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for name in NAMES:
            way = await _way(place, hop, name)
            told = {"HOP_TOPICS": json.dumps(way.topics), "HOP_NEXT": way.next}
            side = await stack.enter_async_context(started(place, part, name, told))
            contenders[name] = partial(_run, place, side, way)
        yield contenders


async def _way(place: Place, hop: Hop, name: str) -> Way:
    """The product's topics, from their ends on; a baseline's own ones."""
    if name == PRODUCT:
        for topic in hop.topics:
            await gate.begin_at_the_end(place.kafka, f"{hop.service}.{topic}", topic)
        return Way(name, hop, {each: each for each in hop.topics}, hop.emits or "")
    own = f"bench{os.getpid()}.{hop.service}.{name}"
    way = Way(name, hop, {each: f"{own}.{each}" for each in hop.topics}, f"{own}.next")
    await make_topics(place, *way.topics.values(), way.next)
    return way


async def _run(place: Place, side: Side, way: Way) -> Mapping[str, float]:
    """One run: `per_s` events, and the process's own `cpu_us` of each."""
    hop, call = way.hop, call_of_run(f"b{next(_runs)}")
    await _publish(side, hop, call)
    records = hop.make(call, PLAIN_EVENTS if way.name == "plain" else EVENTS)
    if hop.known_before:
        await know(side.owner, call, records)
    effects, emitted = await side.owner.fetchval(hop.effects), await _emitted(place, way)
    async with gate.closed_gate(side.owner):
        work = await gate.produce(place.kafka, records, way.topics)
        await gate.until_held(side.owner)
        spent_s, started_at = side.cpu_s(), time.perf_counter()
    await gate.until_done(side.owner, way.groups, work)
    seconds, spent_s = time.perf_counter() - started_at, side.cpu_s() - spent_s
    wanted = sum(each.of_application for each in records)
    if await side.owner.fetchval(hop.effects) - effects != wanted:
        raise RuntimeError(f"{way.name}: not every event had its effect")
    if hop.emits and await _emitted(place, way) - emitted != wanted:
        raise RuntimeError(f"{way.name}: not every effect was told")
    return {"per_s": work.events / seconds, "cpu_us": spent_s / work.events * 1e6}


async def _publish(side: Side, hop: Hop, call: Call) -> None:
    """Make a call known in a service's database, by its own consumer; in intake's, where it is published."""
    service = hop.service
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


async def _emitted(place: Place, way: Way) -> int:
    """How many records were ever relayed."""
    if not way.hop.emits:
        return 0
    async with gate.looking(place.kafka) as consumer:
        return await gate.ever_on(consumer, way.next)


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
