"""Owns the wake-up of a relay in another process: a signal after a commit, outside its transaction; it carries no row.

A transaction that notifies holds one lock of the whole cluster until its commit is on disk, so that all writers queue
behind each other. A NOTIFY sent by itself writes nothing and holds that lock for no disk. It may get lost with its
process: polling behind it finds every row.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import structlog

from shared.db import Database
from shared.messaging.failures import GONE, reason_of

log = structlog.get_logger()

CHANNEL = "releve_outbox"
TELL_AGAIN_S = 2.0


@asynccontextmanager
async def woken(db: Database, connection: asyncpg.Connection) -> AsyncIterator[None]:
    """While inside, this process's relay leads: signals of others set `db.outbox_written`, its own stay within it."""
    await connection.add_listener(CHANNEL, lambda *_: db.outbox_written.set())
    db.relay_is_here = True
    try:
        yield
    finally:
        db.relay_is_here = False


async def tell_relay(db: Database) -> None:
    """After commits that left something in the outbox, wake the relay if it leads in another process; for ever.

    Commits that come while a signal is on its way share the next one.
    """
    while True:
        try:
            await _tell(db)
        except GONE as failure:
            log.info("outbox.relay_not_told", reason=reason_of(failure))
        await asyncio.sleep(TELL_AGAIN_S)


async def _tell(db: Database) -> None:
    connection: asyncpg.Connection | None = None
    try:
        while True:
            await db.outbox_untold.wait()
            db.outbox_untold.clear()
            if db.relay_is_here:
                continue
            if connection is None:
                connection = await db.lone_connection()
            await connection.execute(f"NOTIFY {CHANNEL}")
    finally:
        if connection is not None:
            connection.terminate()
