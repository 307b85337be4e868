"""Owns how a child is started, recognised and ended; it never signals a process that it cannot prove to be ours."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_CLOCK_STEP_S = 2.0
"""How far a process's start time may move between two readings when the machine's clock is adjusted."""


class NotPrepared(Exception):
    """A server's folder could not be made; the message ends with what its tool said."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system account a child runs as; used by root only."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What one child runs: its role in the system, its command line, and how it is asked to end."""

    role: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the launcher dies without having stopped its children."""
    stop_within_s: float = 15.0
    ports: tuple[int, ...] = ()
    """Where it listens once it serves; the first is the one that others know."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process as written down: its pid will be somebody else's after a while, so its start time is kept too."""

    role: str
    pid: int
    started_at: float = field(metadata={"unit": "seconds since the epoch"})

    def process(self) -> psutil.Process | None:
        """The live process this record names, or None when it ended, even if its pid was given to another."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) <= _CLOCK_STEP_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def is_ignored(name: signal.Signals) -> bool:
    """Whether this process was started to ignore a signal, as `nohup` does with the end of a terminal."""
    return signal.getsignal(name) is signal.SIG_IGN


def record(role: str, pid: int) -> Recorded | None:
    """Write down a process that runs now; None when it has just ended."""
    try:
        return Recorded(role, pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


async def spawn(program: Program) -> asyncio.subprocess.Process:
    """Start a program in a session of its own, its output appended to its log.

    Must be called from the main thread: the kernel sends `orphan_signal` when the *thread* that started the child ends.
    """
    with program.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program.command,
            env=dict(program.environment),
            cwd=program.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with(os.getpid(), program.orphan_signal),
            user=program.account.uid if program.account else None,
            group=program.account.gid if program.account else None,
            extra_groups=[] if program.account else None,
        )


def die_with(parent: int, orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child does before its program: ask the kernel for that signal when `parent` dies (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:  # The launcher died between fork and prctl: nobody would ever end this child.
            os._exit(1)

    return ask


async def run_to_end(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    account: Account | None = None,
    loud: bool = False,
) -> tuple[int, str]:
    """Run a command to its end; its exit status and what it said. Cancelled, it is ended first.

    `loud` leaves its standard error to whoever watches this process.
    """
    child = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=None if loud else asyncio.subprocess.STDOUT,
        cwd=folder,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        start_new_session=True,  # Ctrl-C is the launcher's to answer.
        preexec_fn=die_with(os.getpid(), signal.SIGTERM),
    )
    try:
        said, _ = await child.communicate()
    except asyncio.CancelledError:
        child.terminate()
        await child.wait()
        raise
    return child.returncode or 0, said.decode("utf-8", errors="replace")


async def stop(child: asyncio.subprocess.Process, program: Program) -> None:
    """Ask a child to end, and kill its whole group when it has not done so in time."""
    if child.returncode is None:
        child.send_signal(program.stop_signal)
        try:
            async with asyncio.timeout(program.stop_within_s):
                await child.wait()
        except TimeoutError:
            kill_group(child.pid)
            await child.wait()


def ending(status: int) -> str:
    """How a process ended, in words."""
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def kill_group(pid: int) -> None:
    """Kill a child and all that it started; a group that is gone already is what was wanted."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def sweep(recorded: Sequence[Recorded], wait_s: float = 10.0) -> list[Recorded]:
    """End what a dead launcher left behind, and say which processes that were.

    A record is believed only if pid and start time both fit, so a foreign process with a reused pid is never touched.
    """
    found = [(entry, process) for entry in recorded if (process := entry.process()) is not None]
    for _, process in found:
        process.terminate()
    _, alive = psutil.wait_procs([process for _, process in found], timeout=wait_s)
    for process in alive:
        kill_group(process.pid)
    psutil.wait_procs(alive, timeout=wait_s)
    return [entry for entry, _ in found]
