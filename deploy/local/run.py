"""Owns `up` and `down` of a state folder as whole acts: attached, detached, repeated, after a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local import containers
from deploy.local.docker import ROOT
from deploy.local.launcher import Launcher, Options, clean_up_after_crash
from deploy.local.process import Recorded, die_with, ending
from deploy.local.state import LAUNCHER, AlreadyRunning, StateFolder
from deploy.local.system import System

Tell = Callable[[str], None]

START_WITHIN_S = 420.0
_STOP_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1


class _Detached(subprocess.Popen[bytes]):
    """A process that runs on when its handle is dropped: here that is the purpose, and nothing to warn of."""

    def __del__(self) -> None:
        """Say nothing."""


class UpFailed(Exception):
    """A detached launcher ended before its system served; the message ends with what it said."""


def up(state: StateFolder, options: Options, tell: Tell, ready: Callable[[System], None]) -> None:
    """Run a system until a signal ends it. Raises AlreadyRunning and what Launcher.run raises."""
    with state.held():
        if runs_in_containers(state) is not None:
            raise AlreadyRunning
        asyncio.run(Launcher(state, options, tell).run(ready))


def up_detached(state: StateFolder, options: Options, tell: Tell, *, outlive: bool = True) -> System:
    """Run a system beside this process; it is there when this returns. Raises AlreadyRunning, UpFailed.

    Unless it may `outlive` this process, it is stopped when this process dies, however it dies.
    """
    with state.held():
        if runs_in_containers(state) is not None:
            raise AlreadyRunning
        state.description.unlink(missing_ok=True)
        state.prepare()
    said = state.log(LAUNCHER)
    with said.open("wb") as log:
        command = [sys.executable, "-m", "cli.main", "up", "--detached-child", "--state-dir", str(state.path)]
        child = _Detached(
            [*command, *_words(options)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=ROOT,
            preexec_fn=None if outlive else die_with(os.getpid(), signal.SIGTERM),
        )  # fmt: skip
    return _followed(state, child, said, tell)


def _followed(state: StateFolder, child: subprocess.Popen[bytes], said: Path, tell: Tell) -> System:
    deadline, told = time.monotonic() + START_WITHIN_S, 0
    while True:
        ended = child.poll()
        lines = said.read_text("utf-8", errors="replace").splitlines()
        for line in lines[told:]:
            tell(line)
        told = len(lines)
        system = System.saved(state)
        if system is not None and (ended is None or (ended == 0 and system.in_containers)):
            return system
        if ended == 0:
            raise UpFailed("It was stopped while it started, by `releve down` or a signal.")
        if ended is not None:
            raise UpFailed(f"the launcher ended with {ending(ended)}; its log is {said}")
        if time.monotonic() > deadline:
            child.terminate()
            raise UpFailed(f"the system did not serve within {START_WITHIN_S:g} s; the launcher's log is {said}")
        time.sleep(_LOOK_EVERY_S)


def _words(options: Options) -> list[str]:
    words = ["--clock", str(options.clock.resolve())] if options.clock else []
    words += ["--simulated"] if options.simulated else []
    return words + (["--provider", options.provider] if options.provider else [])


def runs_in_containers(state: StateFolder) -> System | None:
    """The system of this folder when an engine runs it without a launcher."""
    system = System.saved(state)
    if system is None or not system.in_containers or not containers.used(state):
        return None
    return system if containers.any_running(state) else None


def down(state: StateFolder, tell: Tell) -> bool:
    """Stop what runs in a folder, also what a dead launcher left; whether there was anything. Raises AlreadyRunning."""
    if not state.path.exists():
        return False
    found = _end_launcher(state)
    with state.held(_STOP_WITHIN_S):
        found = clean_up_after_crash(state, tell) or found
        if containers.used(state):
            found = containers.remove(state) or found
    return found


def _end_launcher(state: StateFolder) -> bool:
    """Ask the launcher to stop its system, and kill it when it takes too long: its children die with it."""
    if not state.is_held():
        return False
    found = False
    for entry in state.processes():
        process = entry.process() if entry.role == LAUNCHER else None
        if process is not None:
            found = True
            process.terminate()
            if not _ended(entry, _STOP_WITHIN_S):
                process.kill()
    return found


def _ended(entry: Recorded, within_s: float) -> bool:
    """Wait until a process ended; one that only its parent has still to notice has ended."""
    deadline = time.monotonic() + within_s
    while entry.process() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True
