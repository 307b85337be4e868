"""Owns the timer loop of a service: what is due at business time is done once, by one process per database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from shared.clock import business_now
from shared.config import Settings
from shared.crashpoints import crash_point
from shared.db import Database, Transaction
from shared.health import Progress
from shared.messaging.failures import Verdict, judge, reason_of
from shared.messaging.leader import leadership
from shared.telemetry import RETRIES, Cause

log = structlog.get_logger()


@dataclass(frozen=True)
class Timer:
    """Something that a service does at a time. `next_due` is business time, or None when nothing waits.

    `run` does what is due at `now` in the open transaction; doing it twice must be the same as once.
    """

    name: str
    next_due: Callable[[Transaction], Awaitable[datetime | None]]
    run: Callable[[Transaction, datetime, Cause], Awaitable[None]]


async def next_timer(db: Database, timers: Sequence[Timer]) -> datetime | None:
    """The earliest business time at which a timer of the service is due."""
    async with db.transaction() as tx:
        due = [await timer.next_due(tx) for timer in timers]
    return min((at for at in due if at is not None), default=None)


class TimerLoop:
    """The timers of one service. `run` returns only when it is cancelled."""

    def __init__(self, db: Database, timers: Sequence[Timer], settings: Settings) -> None:
        self.progress = Progress(f"timers {db.service}")
        self._db = db
        self._timers = timers
        self._settings = settings

    async def run(self) -> None:
        """Lead, look, do what is due, and begin again after every failure with growing pauses."""
        pause = self._settings.retry_first_s
        while True:
            try:
                async with leadership(self._db, "timers", self.progress) as connection:
                    while not connection.is_closed():
                        for timer in self._timers:
                            await self._do(timer)
                        self.progress.succeeded()
                        pause = self._settings.retry_first_s
                        await asyncio.sleep(self._settings.timers_poll_s)
            except Exception as failure:  # noqa: BLE001 - a timer never gives up; readiness tells why it waits
                self.progress.failed(reason_of(failure), ours=judge(failure) is Verdict.OURS)
                RETRIES.labels(self.progress.name).inc()
                log.warning("timers.again", reason=reason_of(failure), pause_s=round(pause, 2))
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.retry_longest_s)

    async def _do(self, timer: Timer) -> None:
        async with self._db.transaction() as tx:
            now = business_now()
            due = await timer.next_due(tx)
            if due is not None and due <= now:
                await timer.run(tx, now, Cause.anew(f"timer-{timer.name}"))
                crash_point("timers.ran")
                log.info("timer.ran", timer=timer.name, due=due.isoformat())
