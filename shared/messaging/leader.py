"""Owns leadership: one active relay and timer loop per database, by an advisory lock on a connection of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from zlib import crc32

import asyncpg

from shared.db import Database
from shared.health import Progress


def lock_number(role: str) -> int:
    """The number of a role's lock; one database belongs to one service, so the role's name is enough."""
    return crc32(f"releve {role}".encode())


@asynccontextmanager
async def leadership(
    db: Database, role: str, standing_by: Progress, poll_s: float = 1.0
) -> AsyncIterator[asyncpg.Connection]:
    """Wait until this process leads, and give the connection that holds the lock: work on it ends with the lock.

    Raises what asyncpg or the network says when the database is away.
    """
    connection = await db.lone_connection()
    try:
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock_number(role)):
            standing_by.succeeded()
            await asyncio.sleep(poll_s)
        yield connection
    finally:
        connection.terminate()
