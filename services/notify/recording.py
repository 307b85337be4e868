"""Owns the commits by which letters end: those whose answers came together share one; it decides nothing of them.

A letter's line stays with it until its record is committed, so that no more letters than there are lines stand between
the server's taking them and our recording it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.notify.posting import Became, Post
from services.notify.reading import Claimed
from shared.db import Database


@dataclass(eq=False)
class Ended:
    """A letter, what became of it, and whoever waits for that to be written."""

    claim_id: str
    letter: Claimed
    became: Became
    kept: "asyncio.Future[bool]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Recording:
    """Writes what became of letters, those that wait as one group."""

    def __init__(self, db: Database, post: Post) -> None:
        self._db = db
        self._post = post
        self._waiting: list[Ended] = []
        self._writing = asyncio.Lock()

    async def record(self, claim_id: str, letter: Claimed, became: Became) -> bool:
        """Record what became of a letter; False if the claim was lost. Raises what keeps it from being written."""
        ended = Ended(claim_id, letter, became)
        self._waiting.append(ended)
        async with self._writing:
            if ended in self._waiting:  # nobody before took it along
                group, self._waiting = self._waiting, []
                await self._write(group)
        return await ended.kept

    async def _write(self, group: Sequence[Ended]) -> None:
        """Write a group; one that fails is redone singly, so that each letter fails for its own reasons only."""
        try:
            await self._write_together(group)
        except Exception as failure:  # noqa: BLE001 - whoever waits judges it
            if len(group) == 1:
                if not group[0].kept.done():  # whoever waited may have been given up
                    group[0].kept.set_exception(failure)
                return
            for each in group:
                await self._write([each])
        except BaseException:
            for each in group:
                each.kept.cancel()
            raise

    async def _write_together(self, group: Sequence[Ended]) -> None:
        async with self._db.transaction() as tx:
            kept = [await self._post.record(tx, each.claim_id, each.letter, each.became) for each in group]
        for each, held in zip(group, kept, strict=True):
            if not each.kept.done():
                each.kept.set_result(held)
