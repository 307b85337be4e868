"""Owns one decision in a process of its own: the round is ranked and its grants reserved by funding's handlers.

One JSON document tells the figures; `peak_mb` is the most memory that this process ever held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time

import uvloop

from services.funding.handlers import deciding, proposing
from services.funding.handlers.acting import Refusal
from shared.clock import business_now
from shared.db import Database
from shared.telemetry import Cause

CHAIR = "chair"


async def decide(url: str, round_id: str) -> dict[str, float]:
    """Rank and reserve as two requests of the chair do; `seconds` of both, and of each."""
    db = Database(url, "funding")
    await db.ping()
    figures = await decide_in(db, round_id)
    await db.close()
    return figures


async def decide_in(db: Database, round_id: str) -> dict[str, float]:
    """The same in a database that is open."""
    begun = time.perf_counter()
    async with db.transaction() as tx:
        proposal = await proposing.ask(tx, round_id, [], CHAIR, business_now())
    ranked = time.perf_counter()
    assert not isinstance(proposal, Refusal), proposal
    async with db.transaction() as tx:
        confirmed = await deciding.confirm(
            tx, round_id, proposal.proposal_id, CHAIR, business_now(), Cause.anew("request")
        )
    decided = time.perf_counter()
    assert not isinstance(confirmed, Refusal), confirmed
    return {"seconds": decided - begun, "rank_s": ranked - begun, "reserve_s": decided - ranked}


def main() -> None:
    """Tell the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deciding", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--round", required=True)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(decide(given.url, given.round))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures | {"peak_mb": peak_mb}))


if __name__ == "__main__":
    main()
