"""Owns the check for what only the machine can provide (Python, Java, Maven); it installs nothing.

`python3 -m deploy.local.prerequisites` runs before anything is installed: this imports the standard library only.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST_JAVA = 17
OLDEST_PYTHON = (3, 11)


class Missing(Exception):
    """Something that only the machine's administrator can install; the message is a sentence naming its package."""


def java() -> str:
    """The java command to use: JAVA_HOME's, else the one on the path. Raises Missing."""
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    found = next((path for name in [*candidates, "java"] if (path := shutil.which(name))), None)
    version = _java_version(found) if found else None
    if found is None or version is None:
        raise Missing(_sentence(f"Java {OLDEST_JAVA} or newer is missing"))
    if version < OLDEST_JAVA:
        raise Missing(_sentence(f"Java {version} at {found} is too old for the local Kafka"))
    return found


def maven() -> str:
    """The mvn command. Raises Missing."""
    found = shutil.which("mvn")
    if found is None:
        raise Missing(_sentence("Maven is missing"))
    return found


def _sentence(what: str) -> str:
    return (
        f"{what}: install the Debian packages default-jre-headless and maven, start a Docker engine, "
        "or name a broker in RELEVE_KAFKA_BOOTSTRAP_SERVERS."
    )


def _java_version(command: str) -> int | None:
    """The major version, such as 17, or None for a stub that runs nothing."""
    said = subprocess.run([command, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return int(version.group(1)) if said.returncode == 0 and version else None


def python() -> None:
    """Check the running Python and that it can make virtual environments. Raises Missing."""
    if sys.version_info < OLDEST_PYTHON:
        wanted, found = ".".join(map(str, OLDEST_PYTHON)), ".".join(map(str, sys.version_info[:3]))
        raise Missing(f"Python {wanted} or newer is missing (python3 is {found}): install the Debian package python3.")
    if importlib.util.find_spec("ensurepip") is None:
        raise Missing("Python cannot make virtual environments: install the Debian package python3-venv.")


def broker() -> None:
    """Check that a broker can be had one of the three ways. Raises Missing."""
    from deploy.local import cache, docker

    if os.environ.get("RELEVE_KAFKA_BOOTSTRAP_SERVERS") or docker.engine().answers:
        return
    java()
    if cache.jars_at_hand() is None:
        maven()


def main() -> None:
    """Name what is missing in one sentence and end with 1, or say nothing."""
    try:
        python()
        broker()
    except Missing as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main()
