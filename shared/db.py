"""Owns the way to one service's PostgreSQL: connections, transactions and commits; nothing else commits.

Every transaction brings an outbox: what it records there is stored by the same commit as the change it tells of.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Protocol

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from shared.crashpoints import crash_point
from shared.messaging.outbox import Outbox

KEPT_ALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4"}
"""In seconds: a server ends the session, and with it the locks, of a client whose machine is gone within half a minute.

The system's own values take two hours.
"""
SILENT_LONGER = 7 / 6
"""How much longer than the server's own limit we wait for it to say anything."""


class Row(Protocol):
    """One row that a statement brought, by column name. It is no mapping: going over one gives its values."""

    def __getitem__(self, column: str, /) -> Any: ...

    def keys(self) -> Iterable[str]:
        """The names of its columns, in their order."""
        ...

    def items(self) -> Iterable[tuple[str, Any]]:
        """Its columns with their values."""
        ...


_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_NAMED = re.compile(r"(?<![:\w]):([a-z_]\w*)")


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement with `$1` in place of `:name`, and the names in the order of their numbers."""
    names = tuple(dict.fromkeys(_NAMED.findall(sql)))
    return _NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", sql), names


class Transaction:
    """One unit of work: the statements of one transaction, and the outbox whose rows leave with it."""

    def __init__(self, connection: asyncpg.Connection, service: str) -> None:
        self.outbox = Outbox(service, self)
        self._connection = connection

    async def execute(self, sql: str, **parameters: Any) -> int:
        """Run one statement with `:name` parameters; the number of rows it touched."""
        statement, names = _numbered(sql)
        status: str = await self._connection.execute(statement, *[parameters[name] for name in names])
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def fetch_all(self, sql: str, **parameters: Any) -> Sequence[Row]:
        """The rows of one statement, by column name."""
        statement, names = _numbered(sql)
        rows: Sequence[Row] = await self._connection.fetch(statement, *[parameters[name] for name in names])
        return rows

    async def select(self, statement: Select[Any]) -> Sequence[Row]:
        """The rows of a statement that is composed, where its conditions vary, with SQLModel's `select`."""
        written = statement.compile(dialect=_DIALECT)
        names, values = written.positiontup or (), written.params
        rows: Sequence[Row] = await self._connection.fetch(str(written), *[values[name] for name in names])
        return rows

    async def fetch_one(self, sql: str, **parameters: Any) -> Row | None:
        """The first row of one statement, or None."""
        rows = await self.fetch_all(sql, **parameters)
        return rows[0] if rows else None

    async def fetch_value(self, sql: str, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        row: Any = await self.fetch_one(sql, **parameters)
        return None if row is None else row[0]

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that can fail alone: its rows and its outbox entries are kept or dropped together."""
        mark = self.outbox.mark()
        try:
            async with _whole(self._connection):
                yield
                await self.outbox.write(since=mark)
        except BaseException:
            self.outbox.forget(since=mark)
            raise


@asynccontextmanager
async def _whole(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A transaction, or a savepoint within one: all of it or nothing.

    A connection on which something may still be under way, or that did not answer in time, is thrown away: a rollback
    on it would wait for the same answer. So is one that was interrupted while it began or was undone: the driver would
    take the next transaction on it for a savepoint of one that nobody commits.
    """
    block, begun, ended = connection.transaction(), False, False
    try:
        await block.start()
        begun = True
        yield
        await block.commit()
        ended = True
    except Exception as failure:
        ended = begun and not isinstance(failure, TimeoutError) and await _rolled_back(block)
        raise
    finally:
        if not ended:
            connection.terminate()


async def _rolled_back(block: asyncpg.transaction.Transaction) -> bool:
    try:
        await block.rollback()
    except Exception:  # noqa: BLE001 - what failed first is what is told; the connection goes with what failed now
        return False
    return True


async def _alive(pooled: AsyncConnection) -> asyncpg.Connection:
    """The driver's own connection of one from the pool: of those whose server has gone, none is used."""
    while True:
        connection: Any = (await pooled.get_raw_connection()).driver_connection
        if not connection.is_closed():
            return connection
        await pooled.invalidate()


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
                    **KEPT_ALIVE,
                },
            },
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that commits on leaving, with its outbox rows, and rolls back on any error."""
        async with self._engine.connect() as pooled:
            connection = await _alive(pooled)
            tx = Transaction(connection, self.service)
            async with _whole(connection):
                yield tx
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
            server_settings={"application_name": f"releve-{self.service}", **KEPT_ALIVE},
        )  # fmt: skip

    async def ping(self) -> None:
        """Answer, or raise what the server or the way to it says."""
        async with self._engine.connect() as pooled:
            await (await _alive(pooled)).fetchval("SELECT 1")

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._engine.dispose()
