"""Owns how outcomes are told: a table for people, one JSON object a line for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from benchmarks.measure import Outcome, Spread


def as_json(outcome: Outcome, servers: Mapping[str, str]) -> str:
    """One line."""
    return json.dumps(outcome.document() | {"servers": dict(servers)}, ensure_ascii=False)


def as_table(outcome: Outcome) -> Iterator[str]:
    """The figures of each contender, median and spread, then the ratios with their aims."""
    benchmark = outcome.benchmark
    yield f"{benchmark.name}: {benchmark.work}"
    contenders = dict.fromkeys(contender for contender, _ in outcome.figures)
    for contender in contenders:
        told = [f"{name} {_spread(outcome.figures[who, name])}" for who, name in outcome.figures if who == contender]
        known = f"   (known: {benchmark.known[contender]})" if contender in benchmark.known else ""
        yield f"  {contender:<10} {'   '.join(told)}{known}"
    for aim in benchmark.aims:
        ratio = outcome.ratios[aim.name]
        yield f"  {_mark(aim.met_by(ratio.median), aim.bound)} {aim.name}: {_spread(ratio)}   {_aimed(aim.bound)}"
    for each in benchmark.ceilings:
        spread = outcome.figures[each.of]
        bound = f"≤ {each.at_most:g}"
        yield f"  {_mark(spread.median <= each.at_most, bound)} {each.name}: {_spread(spread)}   {_aimed(bound)}"


def _mark(met: bool, bound: str) -> str:  # noqa: FBT001 - a mark is a yes or a no
    if not bound:
        return " "
    return "✓" if met else "✗"


def _aimed(bound: str) -> str:
    return f"aim {bound}" if bound else ""


def _spread(spread: Spread) -> str:
    return f"{_number(spread.median)} [{_number(min(spread.values))}–{_number(max(spread.values))}]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits are enough
