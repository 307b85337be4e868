"""Owns the way to one service's PostgreSQL: connections, transactions and commits; nothing else commits.

Every transaction brings an outbox: what it records there is stored by the same commit as the change it tells of.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy import CursorResult, RowMapping, TextClause, event, text
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.crashpoints import crash_point
from shared.messaging.outbox import Outbox

SILENT_LONGER = 7 / 6
"""How much longer than the server's own limit we wait for it to say anything."""


@lru_cache(maxsize=1024)
def _prepared(sql: str) -> TextClause:
    return text(sql)


class Transaction:
    """One unit of work: the session, and the outbox whose rows leave with it."""

    def __init__(self, session: AsyncSession, service: str) -> None:
        self.session = session
        self.outbox = Outbox(service, self)

    async def execute(self, sql: str, **parameters: Any) -> int:
        """Run one statement with `:name` parameters; the number of rows it touched."""
        result = await self._run(sql, parameters)
        return result.rowcount

    async def fetch_all(self, sql: str, **parameters: Any) -> Sequence[RowMapping]:
        """The rows of one statement, by column name."""
        return (await self._run(sql, parameters)).mappings().all()

    async def fetch_one(self, sql: str, **parameters: Any) -> RowMapping | None:
        """The first row of one statement, or None."""
        return (await self._run(sql, parameters)).mappings().first()

    async def fetch_value(self, sql: str, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        return (await self._run(sql, parameters)).scalar()

    async def _run(self, sql: str, parameters: dict[str, Any]) -> CursorResult[Any]:
        connection = await self.session.connection()
        return await connection.execute(_prepared(sql), parameters)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that can fail alone: its rows and its outbox entries are kept or dropped together."""
        mark = self.outbox.mark()
        try:
            async with self.session.begin_nested():
                yield
                await self.session.flush()
                await self.outbox.write(since=mark)
        except BaseException:
            self.outbox.forget(since=mark)
            raise


def _silence_is_the_end(context: ExceptionContext) -> None:
    """A connection whose server did not answer in time is closed: a rollback on it would wait for the same answer."""
    if isinstance(context.original_exception, TimeoutError):
        context.is_disconnect = True


class Database:
    """The pool of one service. `url` is `postgresql://user:password@host:port/name`.

    A statement is given up by the server after `statement_timeout_s`; by us a little later, when nothing is heard of
    the server at all. Whatever was said on that connection, it is thrown away.
    """

    def __init__(
        self,
        url: str,
        service: str,
        pool_size: int = 8,
        statement_timeout_s: float = 30,
        connect_timeout_s: float = 10,
        pool_wait_s: float = 10,
    ) -> None:
        self.service = service
        self.dsn = url
        self._connect_timeout_s = connect_timeout_s
        self._silence_s = statement_timeout_s * SILENT_LONGER
        self.outbox_written = asyncio.Event()
        """Set after each commit that left something in the outbox: wakes the relay of this process."""
        self.outbox_untold = asyncio.Event()
        """Set with it: wakes the relay of another process, by way of `shared/messaging/wake.py`."""
        self.relay_is_here = False
        """Whether the relay that leads in this database is this process's."""
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_wait_s,
            pool_pre_ping=False,
            # An error's text ends in logs, and parameters hold names and addresses.
            hide_parameters=True,
            connect_args={
                "timeout": connect_timeout_s,
                "command_timeout": self._silence_s,
                "server_settings": {
                    "application_name": f"releve-{service}",
                    "statement_timeout": str(int(statement_timeout_s * 1000)),
                    # A cancelled task must not hold its locks for ever.
                    "idle_in_transaction_session_timeout": "60000",
                    "timezone": "UTC",
                },
            },
        )
        event.listen(self._engine.sync_engine, "handle_error", _silence_is_the_end)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that commits on leaving, with its outbox rows, and rolls back on any error."""
        async with AsyncSession(self._engine, expire_on_commit=False) as session:
            tx = Transaction(session, self.service)
            async with session.begin():
                yield tx
                await session.flush()
                await tx.outbox.write()
                crash_point("db.before_commit")
        crash_point("db.after_commit")
        if tx.outbox.wrote:
            self.outbox_written.set()
            self.outbox_untold.set()

    async def lone_connection(self) -> asyncpg.Connection:
        """A connection outside the pool, for a session lock that must live as long as its holder."""
        return await asyncpg.connect(
            self.dsn, timeout=self._connect_timeout_s, command_timeout=self._silence_s,
            server_settings={"application_name": f"releve-{self.service}"},
        )  # fmt: skip

    async def ping(self) -> None:
        """Answer, or raise what the server or the way to it says."""
        async with self._engine.connect() as connection:
            await connection.execute(_prepared("SELECT 1"))

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._engine.dispose()
