"""Owns the end of a process that gets nothing done though its dependencies answer; one that waits for them stays.

A supervisor starts the process again (`docs/design.md` §8.6).
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from aiokafka.admin import AIOKafkaAdminClient

from shared.config import Settings
from shared.db import Database
from shared.health import Health, Progress
from shared.messaging.failures import reason_of

log = structlog.get_logger()

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""


class Watchdog:
    """Looks every few seconds; `end` is called once with nothing more to hope for."""

    def __init__(self, health: Health, db: Database, settings: Settings, end: Callable[[], None]) -> None:
        self.progress = Progress("watchdog")
        self._health = health
        self._db = db
        self._settings = settings
        self._end = end
        self._answered_since: float | None = None
        self._named_since: dict[str, float] = {}

    async def run(self) -> None:
        """Look for ever; returns after it called `end`. What is stuck is named half of the time before."""
        while True:
            await asyncio.sleep(self._settings.watchdog_every_s)
            silent = self._health.silent(self._settings.stuck_after_s)
            answered_s = await self._dependencies_answered_s(silent)
            half_s = self._settings.answering_for_s / 2
            stuck = silent if answered_s >= half_s else {}
            self._health.stuck = list(stuck.values())
            if self._named_s(stuck) >= half_s:
                log.error("watchdog.stuck", loops=self._health.stuck)
                self._end()
                return
            self.progress.succeeded()

    def _named_s(self, stuck: Iterable[str]) -> float:
        """For how long one of them has been named; -1 if none is. However slow a look is, people could see it."""
        now = time.monotonic()
        self._named_since = {name: self._named_since.get(name, now) for name in stuck}
        return max((now - since for since in self._named_since.values()), default=-1.0)

    async def _dependencies_answered_s(self, silent: Mapping[str, str]) -> float:
        """For how long they have answered a process that is silent; -1 if they do not.

        A loop whose dependency has just come back is given as long again to get on.
        """
        if not silent or not await self._answer():
            self._answered_since = None
            return -1.0
        if self._answered_since is None:
            self._answered_since = time.monotonic()
        return time.monotonic() - self._answered_since

    async def _answer(self) -> bool:
        return await _answers(self._db.ping()) and await _answers(self._kafka())

    async def _kafka(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka_bootstrap_servers, request_timeout_ms=4000)
        try:
            await admin.start()
            await admin.list_topics()
        finally:
            await admin.close()


async def _answers(asked: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(5):
            await asked
    except Exception as failure:  # noqa: BLE001 - away is away, whatever it says
        log.info("watchdog.dependency_away", reason=reason_of(failure))
        return False
    return True


def end_this_process(within_s: float) -> None:
    """Ask this process to stop in order, and stop it all the same when that takes too long."""
    end_at_the_latest(within_s, EXIT_CODE)
    os.kill(os.getpid(), signal.SIGTERM)


def end_at_the_latest(within_s: float, status: int) -> None:
    """End this process after a time, whatever it waits for. A thread's timer: the loop itself may be what is stuck."""
    timer = threading.Timer(within_s, os._exit, (status,))
    timer.daemon = True
    timer.start()
