"""`make chaos SEED=n MINUTES=m`: strike a whole system by the plan of a seed, and say whether every promise held."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

import stamina.instrumentation

from deploy.local.ports import PORTS_VARIABLE
from tests.chaos.plan import plan
from tests.chaos.run import chaos


def main() -> int:
    """The exit status: 0 when every promise was kept under every seed."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed; the same seed injects the same plan")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--minutes", type=float, default=5, help="how long each is struck")
    parser.add_argument("--plan", action="store_true", help="print the plan and do nothing")
    given = parser.parse_args()
    # What clients say about servers that were killed on purpose is no news.
    logging.disable(logging.CRITICAL)
    stamina.instrumentation.set_on_retry_hooks([])
    broken = []
    for seed in range(given.seed, given.seed + given.seeds):
        if given.plan:
            print(*plan(seed, given.minutes * 60), sep="\n")
            continue
        with tempfile.TemporaryDirectory(prefix="releve-chaos-") as folder:
            verdict = chaos(seed, given.minutes * 60, Path(folder), lambda line: print(line, flush=True))
        print(*verdict.lines(), sep="\n", flush=True)
        if not verdict.holds:
            broken.append(seed)
    if broken:
        print(f"NOT ALL HELD under seed {', '.join(map(str, broken))}")
    return 1 if broken else 0


if __name__ == "__main__":


    os.environ[PORTS_VARIABLE] = "any"
    sys.exit(main())
