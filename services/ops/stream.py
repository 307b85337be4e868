"""Owns the live stream of the index: rows from a place on, for as long as somebody listens; it changes nothing.

Every listener reads the table by id, so that a slow one delays only itself and nothing is dropped; the wake-up only
saves it from waiting. Windows bound each query, whatever its filters find.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.ops import search, store
from services.ops.search import Filters
from services.ops.wake import Wake
from shared.clock import business_now
from shared.db import Database, Row

WINDOW = 2_000
"""Rows that one query looks at."""
LOOK_AGAIN_S = 1.0
"""How long to wait for a wake-up that may have been rung in another process."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream begins: after a row, or at a time, or at the end."""

    after: int | None = None
    since: datetime | None = None


async def place_to_begin(db: Database, place: Place) -> int:
    """The id after which a stream begins."""
    async with db.transaction() as tx:
        newest = await store.last_id(tx)
        if place.after is not None:
            # An id beyond the newest is of an index that is no more.
            return min(place.after, newest)
        if place.since is None:
            return newest
        first = await store.first_id_since(tx, place.since)
        return newest if first is None else first - 1


async def follow(db: Database, wake: Wake, filters: Filters, after: int) -> AsyncIterator[tuple[int, Sequence[Row]]]:
    """Windows of rows, each with the id up to which everything was looked at. Ends at `until`, or with the process."""
    with wake.listening() as rung:
        while not wake.closing:
            rung.clear()
            async with db.transaction() as tx:
                upto = min(await store.last_id(tx), after + WINDOW)
                rows = await search.matching(tx, filters, after, upto, WINDOW) if upto > after else []
            if upto > after:
                after = upto
                yield after, rows
            elif filters.until is not None and business_now() > filters.until:
                return
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_S):
                        await rung.wait()
