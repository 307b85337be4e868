"""Owns the databases of tests: one migrated template for each service, a copy of it for each test."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
from dataclasses import dataclass, field

import asyncpg

from deploy.local.postgres import Server, Tenancy, close_to_others, provide_roles
from shared.db import Database
from shared.migrate import ROOT, migrate

PASSWORD = "releve"
_TEMPLATE_LOCK = 7204
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Addresses:
    """A fresh database: the role that the service runs as, and the one that owns the schema."""

    runtime: str
    owner: str


@dataclass
class Databases:
    """Gives fresh databases and takes them back: `db = await databases("funding")`."""

    server: Server
    _made: list[str] = field(default_factory=list)
    _opened: list[Database] = field(default_factory=list)

    async def __call__(self, service: str) -> Database:
        """A service's own database with its schema and nothing in it, as its runtime role."""
        addresses = await self.addresses(service)
        database = Database(addresses.runtime, service)
        self._opened.append(database)
        return database

    async def addresses(self, service: str) -> Addresses:
        """The same for a process, which opens it by itself."""
        tenancy = Tenancy(service, PASSWORD)
        name = f"test_{service}_{os.getpid()}_{next(_numbers)}"
        connection = await asyncpg.connect(self.server.url("postgres"))
        try:
            template = await _template(connection, self.server, tenancy)
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER "{tenancy.owner_role}"')
            await close_to_others(connection, name, tenancy)
        finally:
            await connection.close()
        self._made.append(name)
        return _addresses(self.server, name, tenancy)

    async def close(self) -> None:
        """Close and drop all that was given."""
        await asyncio.gather(*(database.close() for database in self._opened))
        connection = await asyncpg.connect(self.server.url("postgres"))
        for name in self._made:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.close()


def _addresses(server: Server, database: str, tenancy: Tenancy) -> Addresses:
    return Addresses(
        runtime=server.url(database, tenancy.runtime_role, tenancy.password),
        owner=server.url(database, tenancy.owner_role, tenancy.password),
    )


async def _template(connection: asyncpg.Connection, server: Server, tenancy: Tenancy) -> str:
    """The template of one service, made by the first test that needs it; its name follows the migrations' content."""
    name = f"template_{tenancy.service}_{_fingerprint(tenancy.service)}"
    await connection.execute("SELECT pg_advisory_lock($1)", _TEMPLATE_LOCK)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await provide_roles(connection, tenancy)
            draft = f"draft_{name}"
            await connection.execute(f'DROP DATABASE IF EXISTS "{draft}"')
            await connection.execute(f'CREATE DATABASE "{draft}" OWNER "{tenancy.owner_role}"')
            await close_to_others(connection, draft, tenancy)
            addresses = _addresses(server, draft, tenancy)
            await asyncio.to_thread(migrate, tenancy.service, addresses.owner, addresses.runtime)
            await connection.execute(f'ALTER DATABASE "{draft}" RENAME TO "{name}"')
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _TEMPLATE_LOCK)
    return name


def _fingerprint(service: str) -> str:
    sources = sorted([*(ROOT / "services" / service / "migrations").glob("*.py"), *(ROOT / "shared").rglob("*.py")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
