"""Owns the description of one running system: every address a command needs to act on it; it starts nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.local import docker
from deploy.local.choice import VARIABLES, Need, Way
from deploy.local.state import StateFolder, StateUnusable, write_private
from shared.clock import ENVIRONMENT_VARIABLE as CLOCK_VARIABLE
from shared.config import DEFAULT_PORTS
from shared.events.topics import SERVICES

COMPOSE_PROJECT = "releve"
COMPOSE_ISSUER = "http://issuer.localhost:9400"
_PATHS = ("mail_folder", "clock_file", "state_dir")
COMPOSE_PASSWORD = "releve"  # noqa: S105  (the published default of docker-compose.yml, loopback only)


class NoSystem(Exception):
    """No system runs here, or none is named; the message says what to do."""


@dataclass(frozen=True, slots=True)
class System:
    """Where a running system is reached from this machine, and how each part of it was chosen."""

    provider: str
    """environment, docker or local: where Kafka comes from."""
    kafka: str
    services: Mapping[str, str]
    databases: Mapping[str, str]
    """Addresses of the runtime roles, by service."""
    issuer: str
    smtp: str
    mail_folder: Path | None
    clock_file: Path | None
    state_dir: Path
    chosen: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """need → {way, why}."""

    @property
    def in_containers(self) -> bool:
        """Whether the engine runs all of it, so that no launcher has to stay."""
        return bool(self.chosen) and all(choice["way"] == Way.DOCKER for choice in self.chosen.values())

    def still_runs(self) -> bool:
        """Whether it is what its state folder describes and neither was stopped nor died. Raises StateUnusable."""
        folder = StateFolder.at(self.state_dir)
        return System.saved(folder) == self and (self.in_containers or folder.is_held())

    @classmethod
    def current(cls, state_dir: Path | None = None) -> System:
        """The system that commands act on: this state folder's, else what the environment names, else Compose's.

        Raises NoSystem.
        """
        folder = StateFolder.at(state_dir)
        try:
            system = cls.saved(folder)
            held = folder.is_held()
        except StateUnusable as unusable:
            raise NoSystem(str(unusable)) from None
        if system is not None:
            if system.in_containers or held:
                return system
            raise NoSystem(f"The launcher in {folder.path} died: clean up with `releve down`, or start again.")
        if all(os.environ.get(name) for name in VARIABLES[Need.KAFKA] + VARIABLES[Need.IDENTITY]):
            return cls.from_environment(os.environ, folder)
        if docker.engine().answers and "intake" in docker.Compose(COMPOSE_PROJECT, {}).running():
            return cls.from_compose_defaults(folder)
        raise NoSystem(f"No system runs in {folder.path}: start one with `releve up`.")

    @classmethod
    def saved(cls, folder: StateFolder) -> System | None:
        """What `system.json` describes, whether or not it still runs. Raises StateUnusable."""
        mend = "stop what runs and clear it away with `releve down`"
        document = folder.read(folder.description, mend)
        try:
            return cls.from_json(document) if document is not None else None
        except (KeyError, TypeError) as broken:
            raise StateUnusable(f"{folder.description} is broken ({broken}): {mend}.") from None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], folder: StateFolder) -> System:
        """The system that the environment names, such as a deployment reached from an operator's machine."""
        host = environment.get("RELEVE_HOST", "127.0.0.1")
        clock = environment.get(CLOCK_VARIABLE)
        return cls(
            provider=Way.ENVIRONMENT,
            kafka=environment["RELEVE_KAFKA_BOOTSTRAP_SERVERS"],
            services={name: _named_url(environment, name, host) for name in SERVICES},
            databases={
                name: url for name in SERVICES if (url := environment.get(f"RELEVE_{name.upper()}_DATABASE_URL"))
            },
            issuer=environment["RELEVE_OIDC_ISSUER"],
            smtp=environment.get("RELEVE_SMTP_URL", ""),
            mail_folder=None,
            clock_file=Path(clock) if clock else None,
            state_dir=folder.path,
            chosen={need: {"way": Way.ENVIRONMENT, "why": "the environment names it"} for need in Need},
        )

    @classmethod
    def from_compose_defaults(cls, folder: StateFolder) -> System:
        """The system of a plain `docker compose up`, at the ports that docker-compose.yml publishes."""
        return cls(
            provider=Way.DOCKER,
            kafka="127.0.0.1:9092",
            services={name: f"http://127.0.0.1:{port}" for name, port in DEFAULT_PORTS.items()},
            databases={name: compose_database(name, 5432, COMPOSE_PASSWORD) for name in SERVICES},
            issuer=COMPOSE_ISSUER,
            smtp="smtp://127.0.0.1:1025",
            mail_folder=None,
            clock_file=None,
            state_dir=folder.path,
            chosen={need: {"way": Way.DOCKER, "why": "docker compose runs it"} for need in Need},
        )

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> System:
        """Read what `to_json` wrote."""
        paths = {name: Path(document[name]) if document[name] else None for name in _PATHS}
        return cls(**{**document, **paths})

    def to_json(self) -> dict[str, Any]:
        """A document of plain values."""
        document = asdict(self)
        for name in _PATHS:
            document[name] = str(document[name]) if document[name] else None
        return document

    def save(self) -> None:
        """Write `system.json`; it holds the databases' passwords, so only its owner may read it."""
        write_private(StateFolder.at(self.state_dir).description, self.to_json())


def compose_database(service: str, port: int, password: str) -> str:
    """The runtime role's address of one service's database in the Compose PostgreSQL, from outside."""
    return f"postgresql://releve_{service}:{password}@127.0.0.1:{port}/releve_{service}"


def _named_url(environment: Mapping[str, str], service: str, host: str) -> str:
    name = service.upper()
    port = environment.get(f"RELEVE_{name}_PORT", str(DEFAULT_PORTS[service]))
    return environment.get(f"RELEVE_{name}_URL") or f"http://{host}:{port}"
