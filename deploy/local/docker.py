"""Owns how the launcher speaks to Docker: whether an engine answers, and Compose over the project's own file.

It is asked for an engine before anything is installed: on import it needs the standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
_ANSWER_WITHIN_S = 5.0


class ComposeFailed(Exception):
    """A Compose command failed; the message ends with what it said, unless that was shown already."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Whether a Docker engine can be used, and what was found."""

    answers: bool
    found: str


@cache
def engine() -> Engine:
    """Ask for the engine and for Compose v2; a command that hangs counts as no answer."""
    if shutil.which("docker") is None:
        return Engine(answers=False, found="there is no docker command")
    version = _said(["docker", "version", "--format", "{{.Server.Version}}"])
    if not version:
        return Engine(answers=False, found="no Docker engine answers")
    compose = _said(["docker", "compose", "version", "--short"])
    if not compose:
        return Engine(answers=False, found=f"Docker {version} answers, but its Compose v2 plugin is missing")
    return Engine(answers=True, found=f"Docker {version} answers, with Compose {compose}")


def _said(command: Sequence[str]) -> str:
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_ANSWER_WITHIN_S)
    except subprocess.TimeoutExpired:
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


@dataclass(frozen=True, slots=True)
class Compose:
    """The project's Compose file under one project name, with the variables that it is filled with."""

    project: str
    variables: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        """Run one short Compose command; what it said. Raises ComposeFailed."""
        said = subprocess.run(
            self._command(arguments), env=os.environ | self.variables, capture_output=True, text=True, check=False
        )
        if said.returncode != 0:
            raise ComposeFailed(f"docker compose {arguments[0]} failed: {said.stderr[-1500:].strip()}")
        return said.stdout

    async def up(self, *arguments: str) -> None:
        """Start containers, showing the progress on standard error; cancelled, it ends. Raises ComposeFailed."""
        from deploy.local.process import run_to_end

        status, _ = await run_to_end(self._command(["up", *arguments]), os.environ | self.variables, loud=True)
        if status != 0:
            raise ComposeFailed("docker compose up failed")

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return ["docker", "compose", "-p", self.project, "-f", str(COMPOSE_FILE), *arguments]

    def running(self) -> list[str]:
        """The names of the services that run now."""
        return self.run("ps", "--services", "--status", "running").split()
