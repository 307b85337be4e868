"""Owns the commits by which letters end: those whose answers came together share one; it decides nothing of them.

A letter's line stays with it until its record is committed, so that no more letters than there are lines stand between
the server's taking them and our recording it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.notify.posting import Became, Post
from services.notify.reading import Claimed
from shared.db import Database, Transaction
from shared.group_commit import GroupCommit


@dataclass(frozen=True, slots=True)
class Ended:
    """A letter of a claim, and what became of it."""

    claim_id: str
    letter: Claimed
    became: Became


def recorded_together(db: Database, post: Post, lines: int) -> GroupCommit[Ended, bool]:
    """What records letters, of which as many as lines end at once; its answer is False where a claim was lost."""

    async def write(tx: Transaction, group: Sequence[Ended]) -> list[bool]:
        return [await post.record(tx, each.claim_id, each.letter, each.became) for each in group]

    return GroupCommit(db, "letters", write, largest=lines, most_waiting=lines)
