"""Which faults strike when: a pure function of the seed, so that the same seed injects the same plan."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shared.crashpoints import PLACES
from shared.events.topics import SERVICES
from tests.chaos.poisons import FUTURE, POISON

CALM_S = (1.5, 6.0)
"""Between the end of one fault and the beginning of the next."""
FROZEN_S = (5.0, 15.0)
AWAY_S = (3.0, 12.0)

ONLY = {"mail": ("notify",), "funding": ("funding",), "timers": ("intake", "funding")}
ORDERS = (
    "rcpt 451 4.7.1 Later", "rcpt 550 5.1.1 Nobody", "letter 452 4.2.2 Full", "letter 550 5.7.1 No", "letter resets",
)  # fmt: skip
"""What the mail catcher is told to answer; the last takes the letter and does not say so."""
PLACES_OF = {
    service: tuple(place for place in PLACES if service in ONLY.get(place.partition(".")[0], SERVICES))
    for service in SERVICES
} | {"ops": ("db.before_commit", "db.after_commit", "consume.before_ack")}
"""The places that a service comes to while calls are played: ops says nothing then, and has an inbox for commands."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `at_s` and `for_s` in seconds since the beginning; what `kind` means is `faults.py`'s.

    `place` is where a process dies, what is published, or at which step mail is refused and how.
    """

    at_s: float
    kind: str
    target: str
    for_s: float = 0.0
    place: str = ""
    arrival: int = 1

    def __str__(self) -> str:
        """A line of the plan."""
        lasting = f" for {self.for_s:.1f} s" if self.for_s else ""
        place = f": {self.place}" + (f", {self.arrival}" if self.arrival > 1 else "") if self.place else ""
        return f"{self.at_s:6.1f} s  {self.kind} {self.target}{place}{lasting}"


def plan(seed: int, seconds: float) -> list[Fault]:
    """The faults of one run, in order; the last one ends before the time does. Every kind comes in turn, shuffled."""
    chance, faults, at_s = random.Random(seed), [], 2.0
    while True:
        for kind in chance.sample(sorted(KINDS), len(KINDS)):
            fault = KINDS[kind](chance, round(at_s, 1))
            if at_s + fault.for_s + CALM_S[0] > seconds:
                return faults
            faults.append(fault)
            at_s += fault.for_s + chance.uniform(*CALM_S)


def _service(chance: random.Random) -> str:
    return chance.choice(SERVICES)


def _lasting(kind: str, targets: tuple[str, ...], range_s: tuple[float, float]) -> Callable[..., Fault]:
    def fault(chance: random.Random, at_s: float) -> Fault:
        return Fault(at_s, kind, chance.choice(targets), round(chance.uniform(*range_s), 1))

    return fault


def _at_once(kind: str, targets: tuple[str, ...]) -> Callable[..., Fault]:
    def fault(chance: random.Random, at_s: float) -> Fault:
        return Fault(at_s, kind, chance.choice(targets))

    return fault


def _crash(chance: random.Random, at_s: float) -> Fault:
    service = _service(chance)
    return Fault(at_s, "crash", service, place=chance.choice(PLACES_OF[service]), arrival=chance.randint(1, 3))


def _published(kind: str, names: Iterable[str]) -> Callable[..., Fault]:
    among = sorted(names)

    def fault(chance: random.Random, at_s: float) -> Fault:
        return Fault(at_s, kind, "kafka", place=chance.choice(among))

    return fault


def _refuse_mail(chance: random.Random, at_s: float) -> Fault:
    return Fault(at_s, "refuse", "mail", place=chance.choice(ORDERS), arrival=chance.randint(1, 5))


KINDS: dict[str, Callable[[random.Random, float], Fault]] = {
    "kill": _at_once("kill", SERVICES),
    "terminate": _at_once("terminate", SERVICES),
    "freeze": _lasting("freeze", SERVICES, FROZEN_S),
    "crash": _crash,
    "crash again": _crash,
    "replica": _lasting("replica", SERVICES, AWAY_S),
    "kill broker": _at_once("kill", ("kafka",)),
    "freeze broker": _lasting("freeze", ("kafka",), AWAY_S),
    "kill database": _at_once("kill", ("postgres",)),
    "cut connections": _at_once("cut", SERVICES),
    "freeze mail": _lasting("freeze", ("mail",), AWAY_S),
    "kill mail": _at_once("kill", ("mail",)),
    "refuse mail": _refuse_mail,
    "repeat events": _at_once("repeat", ("kafka",)),
    "poison": _published("poison", POISON),
    "future": _published("future", FUTURE),
}
"""One of each kind before any comes again."""
