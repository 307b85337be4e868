"""Owns the Compose way: the variables that docker-compose.yml is filled with, starting all of it or a part."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import postgres
from deploy.local.choice import Need
from deploy.local.dependencies import database_parts
from deploy.local.docker import Compose, ComposeFailed
from deploy.local.ports import choose_ports
from deploy.local.state import StateFolder
from shared.events.topics import SERVICES

_COMPOSE_SERVICES: Mapping[Need, str] = {
    Need.KAFKA: "kafka", Need.POSTGRES: "postgres", Need.MAIL: "mail", Need.IDENTITY: "issuer",
}  # fmt: skip
_PUBLISHED = (*SERVICES, "kafka", "postgres", "mail", "issuer")
_CLOCK_IN_CONTAINER = "/var/lib/releve/clock/"
_START_WITHIN_S = 300
_MARK = "containers"
"""A file of the state folder that says its containers have to be removed."""


@dataclass(frozen=True, slots=True)
class Containers:
    """The Compose system of one state folder; its data are volumes of the engine, kept between runs.

    `outside`: only needs are met by containers, the services run on this machine.
    """

    state: StateFolder
    ports: Mapping[str, int]
    clock_file: Path | None
    outside: bool = False

    @classmethod
    def of(cls, state: StateFolder, clock_file: Path | None, *, outside: bool = False) -> Containers:
        """With ports that are free now."""
        return cls(state, choose_ports(_COMPOSE_SERVICES.values() if outside else _PUBLISHED), clock_file, outside)

    @property
    def service_ports(self) -> dict[str, int]:
        """Where the services are published; empty if they run outside."""
        return {} if self.outside else {name: self.ports[name] for name in SERVICES}

    async def start(self, needs: Sequence[Need] = tuple(Need)) -> dict[str, object]:
        """Build, start and wait until healthy: everything, or what meets these needs if services run outside.

        The parts of Addresses that it provides. Raises ComposeFailed.
        """
        wanted = [_COMPOSE_SERVICES[need] for need in needs] if self.outside else []
        compose = Compose(project_of(self.state), self._variables())
        (self.state.path / _MARK).touch()
        try:
            await compose.up("--detach", "--build", "--wait", "--wait-timeout", str(_START_WITHIN_S), *wanted)
        except ComposeFailed as failure:
            log = self.state.log("containers")  # They will be removed, and with them what they said.
            log.write_text(compose.run("logs", "--no-color"), encoding="utf-8")
            raise ComposeFailed(f"{failure}; what the containers said is in {log}") from failure
        provided: dict[Need, dict[str, object]] = {
            Need.KAFKA: {"kafka": f"127.0.0.1:{self.ports['kafka']}"},
            Need.MAIL: {"smtp": f"smtp://127.0.0.1:{self.ports['mail']}"},
            Need.IDENTITY: {"issuer": self._issuer},
            Need.POSTGRES: database_parts(
                postgres.Server("127.0.0.1", self.ports["postgres"], ""), self.state.secret("services")
            ),
        }
        return {name: value for need in needs for name, value in provided[need].items()}

    @property
    def _issuer(self) -> str:
        # Tokens carry this name, so containers and this machine must both reach the issuer by it.
        host = "127.0.0.1" if self.outside else "issuer.localhost"
        return f"http://{host}:{self.ports['issuer']}"

    def _variables(self) -> dict[str, str]:
        clock = self.clock_file
        return {
            **{f"RELEVE_{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            "RELEVE_POSTGRES_PASSWORD": self.state.secret("postgres"),
            "RELEVE_DATABASE_PASSWORD": self.state.secret("services"),
            "RELEVE_ACCESS_SECRET": self.state.secret("access"),
            "RELEVE_MAIL_FOLDER": str(self.state.mail),
            "RELEVE_OIDC_ISSUER": self._issuer,
            **({"RELEVE_PUBLIC_URL": f"http://127.0.0.1:{ports['intake']}"} if (ports := self.service_ports) else {}),
            "RELEVE_UID": str(os.getuid()),
            "RELEVE_GID": str(os.getgid()),
            "RELEVE_CLOCK_FOLDER": str(clock.parent if clock else self.state.clock_file.parent),
            "RELEVE_CLOCK_FILE": _CLOCK_IN_CONTAINER + clock.name if clock else "",
        }


def project_of(state: StateFolder) -> str:
    """The Compose project of a state folder: two folders never share containers or volumes."""
    return f"releve-{hashlib.sha256(str(state.path).encode()).hexdigest()[:8]}"


def used(state: StateFolder) -> bool:
    """Whether this folder's system was started with containers; asks no engine."""
    return (state.path / _MARK).exists()


def remove(state: StateFolder) -> bool:
    """Remove a folder's containers, keeping their volumes; whether there were any. Raises ComposeFailed."""
    compose = Compose(project_of(state), {})
    found = bool(compose.run("ps", "--all", "--services").split())
    if found:
        compose.run("down", "--remove-orphans")
    (state.path / _MARK).unlink(missing_ok=True)
    return found


def any_running(state: StateFolder) -> bool:
    """Whether containers of this state folder run. Raises ComposeFailed."""
    return bool(Compose(project_of(state), {}).running())
