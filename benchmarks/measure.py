"""Owns how contenders are measured: in turn, and compared within each round; it knows no benchmark."""

from __future__ import annotations

import gc
import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.place import Place

Contender = Callable[[], Awaitable[Mapping[str, float]]]
"""One run of one way of doing the work; its figures by name, such as `per_s`, `p50_ms`, `seconds`, `peak_mb`."""
Tell = Callable[[str], None]
Figure = tuple[str, str]
"""A contender and the name of one of its figures."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A ratio of two figures of the same round, and where it should lie; without bounds it is only told."""

    name: str
    above: Figure
    below: Figure
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bound(self) -> str:
        """The bound as people write it."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""

    def met_by(self, ratio: float) -> bool:
        """Whether a ratio keeps the bounds."""
        return (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A figure that must stay below a bound that is no ratio, such as memory."""

    name: str
    of: Figure
    at_most: float


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One line of the table. `open` gives its contenders, ready to run as often as they are asked to."""

    name: str
    work: str
    aims: Sequence[Aim]
    open: Callable[[Place], AbstractAsyncContextManager[Mapping[str, Contender]]]
    ceilings: Sequence[Ceiling] = ()
    rounds: int = 5
    known: Mapping[str, str] = field(default_factory=dict)
    """What contenders like these reached elsewhere, to be shown beside."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of several rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def document(self) -> dict[str, float]:
        """As JSON."""
        return {"median": self.median, "min": min(self.values), "max": max(self.values)}


@dataclass
class Outcome:
    """What the rounds of one benchmark came to."""

    benchmark: Benchmark
    figures: dict[Figure, Spread]
    ratios: dict[str, Spread]

    @property
    def met(self) -> bool:
        """Whether the median of each ratio and figure keeps its bound."""
        aims = all(aim.met_by(self.ratios[aim.name].median) for aim in self.benchmark.aims)
        return aims and all(self.figures[each.of].median <= each.at_most for each in self.benchmark.ceilings)

    def document(self) -> dict[str, Any]:
        """As JSON: `figures` by contender and name, `ratios` by name."""
        figures: dict[str, dict[str, Any]] = defaultdict(dict)
        for (contender, name), spread in self.figures.items():
            figures[contender][name] = spread.document()
        ratios = {
            aim.name: self.ratios[aim.name].document()
            | {"aim": aim.bound, "met": aim.met_by(self.ratios[aim.name].median)}
            for aim in self.benchmark.aims
        }
        return {
            "name": self.benchmark.name, "work": self.benchmark.work, "figures": figures, "ratios": ratios,
            "met": self.met,
        }  # fmt: skip


async def measure(benchmark: Benchmark, place: Place, rounds: int | None, tell: Tell) -> Outcome:
    """Run every contender once to warm up, then in each round, every other round in the opposite order."""
    seen: dict[Figure, list[float]] = defaultdict(list)
    async with benchmark.open(place) as contenders:
        for number in range((rounds or benchmark.rounds) + 1):
            order = list(contenders)[:: 1 if number % 2 else -1]
            for name in order:
                gc.collect()
                figures = await contenders[name]()
                tell(f"{benchmark.name} {'warm-up' if number == 0 else number} {name}: {_shown(figures)}")
                if number:
                    for figure, value in figures.items():
                        seen[name, figure].append(value)
    ratios = {
        aim.name: Spread(tuple(a / b for a, b in zip(seen[aim.above], seen[aim.below], strict=True)))
        for aim in benchmark.aims
    }
    return Outcome(benchmark, {figure: Spread(tuple(values)) for figure, values in seen.items()}, ratios)


def _shown(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:,.4g}" for name, value in figures.items())
