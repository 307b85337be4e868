"""Fixtures of the messaging tests: a database that has the message tables and one table of effects, nothing else."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.db import Database
from shared.ids import new_id
from shared.messaging.schema import TABLES
from tests.messaging_bench import EFFECT_TABLE
from tests.servers import Servers


@pytest.fixture
async def messaging_database(servers: Servers) -> AsyncIterator[Database]:
    name = f"messaging_{new_id().replace('-', '')}"
    admin = await asyncpg.connect(servers.postgres.url("postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    database = Database(servers.postgres.url(name), "funding")
    async with database.transaction() as tx:
        for table in (*TABLES, EFFECT_TABLE):
            await tx.execute(table)
    yield database
    await database.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()
