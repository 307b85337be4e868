"""A service whose database lies behind a proxy, and the same database seen past it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from shared.db import Database
from tests.databases import Databases
from tests.proxy import Proxy, proxy_of
from tests.waiting import until

LEFT_OPEN = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
"""


@dataclass
class Behind:
    """`db` goes through the proxy; `direct` sees what was really done."""

    proxy: Proxy
    db: Database
    direct: Database

    async def count(self, table: str) -> int:
        return int(await self.value(f"SELECT count(*) FROM {table}"))  # noqa: S608 - a test names it

    async def value(self, sql: str, **parameters: Any) -> Any:
        async with self.direct.transaction() as tx:
            return await tx.fetch_value(sql, **parameters)

    async def nothing_left_open(self) -> None:
        """No connection stays in a transaction that nobody goes on with. Raises TimeoutError."""

        async def none() -> bool:
            return int(await self.value(LEFT_OPEN)) == 0

        await until(none, within_s=20)


@asynccontextmanager
async def behind_a_proxy(url: str, service: str, **database: Any) -> AsyncIterator[Behind]:
    """`database` are further arguments of the Database that goes through the proxy."""
    async with proxy_of(url) as proxy:
        db, direct = Database(proxy.through(url), service, **database), Database(url, service, 2)
        try:
            yield Behind(proxy, db, direct)
        finally:
            proxy.accept()
            proxy.thaw()
            await db.close()
            await direct.close()


@asynccontextmanager
async def service_behind(databases: Databases, service: str, **database: Any) -> AsyncIterator[Behind]:
    """The same over a fresh database of a service."""
    addresses = await databases.addresses(service)
    async with behind_a_proxy(addresses.runtime, service, **database) as behind:
        yield behind
