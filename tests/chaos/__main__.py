"""`make chaos SEED=n MINUTES=m`: strike a whole system by the plan of a seed, and say whether every promise held."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import traceback
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
        if not held(seed, given.minutes * 60):
            broken.append(seed)
    if broken:
        print(f"NOT ALL HELD under seed {', '.join(map(str, broken))}")
    return 1 if broken else 0


def held(seed: int, seconds: float) -> bool:
    """Whether every promise was kept under one seed; if not, what the system left stays in its folder."""
    folder = Path(tempfile.mkdtemp(prefix="releve-chaos-"))
    try:
        verdict = chaos(seed, seconds, folder, lambda line: print(line, flush=True))
    except Exception:  # noqa: BLE001 - one seed's failure is told, and does not keep the next from its run
        traceback.print_exc(file=sys.stdout)
        print(f"seed {seed}: NOT ALL HOLDS: it came to no verdict")
    else:
        print(*verdict.lines(), sep="\n", flush=True)
        if verdict.holds:
            shutil.rmtree(folder, ignore_errors=True)
            return True
    print(f"its logs, mail, topics and databases are kept in {folder}", flush=True)
    return False


if __name__ == "__main__":
    os.environ[PORTS_VARIABLE] = "any"
    sys.exit(main())
