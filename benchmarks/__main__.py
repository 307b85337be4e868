"""`python -m benchmarks [NAME…]`: run benchmarks against their baselines and say what came out."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Benchmark, measure
from benchmarks.place import durability, opened
from benchmarks.report import as_json, as_table

NAMES = ("submit", "hop", "relay", "end-to-end", "decide", "delay")
OWN_TIME = ("peers", "growth", "deadline", "replicas")
"""Run only when they are named."""


def main() -> None:
    """Exit status: 0 each aim was met, 1 not, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)} (all by default); {OWN_TIME}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rounds", type=int, help="how often each contender runs; fewer is quicker and rougher")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - {*NAMES, *OWN_TIME})
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join((*NAMES, *OWN_TIME))}")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    chosen = [benchmark for name in arguments.names or NAMES for benchmark in _load(name)]
    met = asyncio.run(_run(chosen, arguments.rounds, as_lines=arguments.json))
    sys.exit(0 if met else 1)


def _load(name: str) -> Sequence[Benchmark]:
    """A module's benchmark, or its several lines of the table."""
    module = importlib.import_module(f"benchmarks.{name.replace('-', '_')}")
    found: Sequence[Benchmark] = getattr(module, "BENCHMARKS", None) or (module.BENCHMARK,)
    return found


async def _run(chosen: Sequence[Benchmark], rounds: int | None, *, as_lines: bool) -> bool:
    met = True
    with tempfile.TemporaryDirectory(prefix="releve-bench-") as folder:
        async with opened(Path(folder)) as place:
            servers = await durability(place)
            _tell(json.dumps(servers))
            for benchmark in chosen:
                outcome = await measure(benchmark, place, rounds, _tell)
                met = met and outcome.met
                for line in [as_json(outcome, servers)] if as_lines else as_table(outcome):
                    print(line, flush=True)
    return met


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
