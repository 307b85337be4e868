"""Owns what every handler says about an act, and how many events leave at once; it decides nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.db import Transaction
from shared.events.base import Event
from shared.telemetry import Cause

PIECE = 2000
"""Events that are kept in memory at most; a decision may have 100,000."""


@dataclass(frozen=True, slots=True)
class Act:
    """When (business time), by which event, request or timer, by whom and why something is done."""

    at: datetime
    cause: Cause
    who: str
    why: str

    def because(self, why: str) -> "Act":
        """The same act with another reason: what follows from it."""
        return Act(self.at, self.cause, self.who, why)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that the rules refuse; `code` as in `docs/design.md` §5, `field` names what is wrong in the body."""

    code: str
    detail: str
    field: str | None = None


async def record_all(tx: Transaction, events: Iterable[Event], cause: Cause) -> None:
    """Record many events, writing them to the outbox in pieces of this transaction."""
    mark = tx.outbox.mark()
    for number, event in enumerate(events, start=1):
        tx.outbox.record(event, cause)
        if number % PIECE == 0:
            await tx.outbox.write(since=mark)
