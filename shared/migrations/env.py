"""Runs one service's migrations over asyncpg, as the owner role; `shared/migrate.py` configures it."""

import asyncio

from alembic import context
from sqlalchemy import Connection, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

config = context.config

GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role}",
)


def _run(connection: Connection) -> None:
    role = config.attributes.get("runtime_role")
    # One migration at a time: replicas that start together wait for the first.
    connection.execute(text("SELECT pg_advisory_xact_lock(7203)"))
    if role and role != connection.dialect.identifier_preparer.quote(connection.engine.url.username or ""):
        quoted = connection.dialect.identifier_preparer.quote_identifier(role)
        for grant in GRANTS:
            connection.execute(text(grant.format(role=quoted)))
    context.configure(connection=connection, target_metadata=None, transaction_per_migration=False)
    context.run_migrations(runtime_role=role)


async def _connect() -> None:
    url = make_url(config.attributes["url"]).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


asyncio.run(_connect())
