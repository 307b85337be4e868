"""Owns the closing of rounds: counted, marked and told in one transaction, after the last submission that may land."""

from datetime import datetime, timedelta

from services.intake.domain.closing import members_sha256
from services.intake.store import rounds
from shared.db import Transaction
from shared.events.intake import RoundClosed
from shared.telemetry import Cause


class RoundClosing:
    """The timer's work. `request_longest` is set when the process starts, from its settings."""

    def __init__(self) -> None:
        self.request_longest = timedelta(seconds=30)

    async def next_due(self, tx: Transaction) -> datetime | None:
        """When the next round closes: after its end, the grace, and the longest request."""
        ends = await rounds.next_end(tx)
        return None if ends is None else ends + self.request_longest

    async def run(self, tx: Transaction, now: datetime, cause: Cause) -> None:
        """Close one round that is due; the timer comes back for the next."""
        due = await rounds.lock_due_round(tx, now - self.request_longest)
        if due is None:
            return
        # A new statement after the lock, so that it sees every submission that the lock waited for.
        members = await rounds.members_of(tx, due["round_id"])
        sha256 = members_sha256(members)
        await rounds.close_round(tx, due["round_id"], now, len(members), sha256)
        closed = RoundClosed(
            occurred_at=now, call_id=due["call_id"], call_version=due["call_version"], round_id=due["round_id"],
            closed_at=now, submitted=len(members), applications_sha256=sha256,
        )  # fmt: skip
        tx.outbox.record(closed, cause)
