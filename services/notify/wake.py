"""Owns the wake-up of the mailer by PostgreSQL after a commit: a signal only; polling behind it finds every letter."""

import asyncio
from collections.abc import Callable

import structlog

from services.notify.queue import CHANNEL
from shared.db import Database
from shared.messaging.failures import GONE, reason_of

log = structlog.get_logger()

LISTEN_AGAIN_S = 2.0


async def heard(db: Database, tell: Callable[[], None]) -> None:
    """Call at each notification, for ever; a lost connection is opened again, and that may have missed some."""
    while True:
        try:
            await _listen(db, tell)
        except GONE as failure:
            log.info("notify.not_listening", reason=reason_of(failure))
        await asyncio.sleep(LISTEN_AGAIN_S)


async def _listen(db: Database, tell: Callable[[], None]) -> None:
    gone = asyncio.Event()
    connection = await db.lone_connection()
    try:
        connection.add_termination_listener(lambda _: gone.set())
        await connection.add_listener(CHANNEL, lambda *_: tell())
        tell()
        await gone.wait()
    finally:
        connection.terminate()
