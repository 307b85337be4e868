"""Owns what is kept between runs and shared by all state folders: the broker's jars, brought once by Maven."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from typing import IO

from deploy.local.prerequisites import maven

_LOOK_EVERY_S = 0.2
POM = Path(__file__).with_name("pom.xml")


class JarsNotBrought(Exception):
    """Maven could not bring the broker's jars; the message ends with what it said."""


def folder() -> Path:
    """RELEVE_CACHE_DIR, else `releve` in the user's cache folder."""
    named = os.environ.get("RELEVE_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(named) if named else Path(base) / "releve"


def jars_at_hand() -> Path | None:
    """The folder of jars that fit the pinned pom, if an earlier run brought them."""
    jars = _jars_folder()
    return jars if jars.is_dir() else None


async def bring_jars(pom: Path = POM, name: str = "kafka") -> Path:
    """The folder of a pom's jars, brought by Maven when they are not there. Raises Missing, JarsNotBrought.

    A half-filled folder never has the final name, and one run at a time fills it.
    """
    jars = _jars_folder(pom, name)
    jars.parent.mkdir(parents=True, exist_ok=True)
    with (jars.parent / "jars.lock").open("a") as lock:
        while not take(lock, fcntl.LOCK_EX):
            await asyncio.sleep(_LOOK_EVERY_S)
        if not jars.is_dir():
            draft = jars.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            await _copy_dependencies(pom, draft)
            draft.rename(jars)
    return jars


def _jars_folder(pom: Path = POM, name: str = "kafka") -> Path:
    return folder() / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"


async def _copy_dependencies(pom: Path, into: Path) -> None:
    command = [maven(), "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={into}"]
    from deploy.local.process import run_to_end

    status, said = await run_to_end(command)
    if status != 0:
        raise JarsNotBrought(f"Maven could not bring the jars of {pom.parent.name}: {said[-2000:].strip()}")


def take(lock: IO[str], kind: int) -> bool:
    """Take a lock on an open file if it is free; the kernel drops it when the holder dies or closes the file."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
