"""Owns the running children: starts them, waits until they serve, restarts what ends by itself, stops all in order."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from deploy.local import ports
from deploy.local.process import Program, Recorded, ending, kill_group, record, spawn, stop

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
LONGEST_PAUSE_VARIABLE = "RELEVE_LONGEST_RESTART_PAUSE_S"
"""Where a child is made to die again and again on purpose, waiting for it proves nothing."""
STEADY_AFTER_S = 60.0
"""A child that ran this long is taken to have been well: its next restart is quick again."""
_PROBE_EVERY_S = 0.05
_MOST_DOUBLINGS = 20
_WRITE_AGAIN_AFTER_S = 5.0
"""Who runs is written down later when it cannot be at once, as on a full disk."""

Probe = Callable[[], Awaitable[bool]]
Tell = Callable[[str], None]


class DidNotStart(Exception):
    """A child ended, or did not serve in time, while the system was starting."""

    def __init__(self, program: Program, why: str) -> None:
        where = f" on port {program.ports[0]}" if program.ports else ""
        name = program.role.removeprefix("service:")
        super().__init__(f"{name} did not start{where}: {why}; its log is {program.log}")
        self.program, self.why = program, why


@dataclass
class _Child:
    program: Program
    process: asyncio.subprocess.Process
    started_s: float
    watch: asyncio.Task[None] | None = None
    restarts: int = 0


def pause_before_restart(restarts: int) -> float:
    """Seconds to wait before a child is started again: doubling, up to LONGEST_PAUSE_S or what the environment says."""
    longest_s = float(os.environ.get(LONGEST_PAUSE_VARIABLE) or LONGEST_PAUSE_S)
    # A child that fails for a day has been started thousands of times: that power of two is no float any more.
    return min(longest_s, FIRST_PAUSE_S * 2.0 ** min(restarts, _MOST_DOUBLINGS))


@dataclass
class Supervisor:
    """The children of one launcher.

    `changed` is called with all records whenever a child was started or ended, before anything else happens to it.
    Once a child serves, neither a failure of `changed` nor one of `tell` keeps it from being restarted or stopped.
    """

    changed: Callable[[list[Recorded]], None]
    tell: Tell
    _children: dict[str, _Child] = field(default_factory=dict)
    _later: asyncio.TimerHandle | None = None

    async def start(self, program: Program, serves: Probe, within_s: float = 60.0) -> None:
        """Start a child and wait until it serves; from then on it is restarted whenever it ends by itself.

        Raises DidNotStart, and what `changed` raises: nothing is started that cannot be written down.
        """
        child = _Child(program, await spawn(program), time.monotonic())
        self._children[program.role] = child
        self.changed(self.records())
        await _until_it_serves(child, serves, within_s)
        child.watch = asyncio.create_task(self._watch(child), name=f"watch {program.role}")

    def records(self) -> list[Recorded]:
        """All children that run now."""
        running = [(role, child.process) for role, child in self._children.items() if child.process.returncode is None]
        return [entry for role, process in running if (entry := record(role, process.pid)) is not None]

    async def stop(self, *roles: str) -> None:
        """Stop these children at once, all of them if none is named."""
        children = [self._children.pop(role) for role in roles or tuple(self._children) if role in self._children]
        for child in children:
            if child.watch is not None:
                child.watch.cancel()
        watches = [child.watch for child in children if child.watch is not None]
        await asyncio.gather(*watches, return_exceptions=True)  # One may be starting its child again just now.
        ended = await asyncio.gather(*(_end(child) for child in children), return_exceptions=True)
        self._write_down()
        for failure in ended:
            if failure is not None:
                raise failure

    async def _watch(self, child: _Child) -> None:
        """Start a child again whenever it ended, and again if that fails: without this task it would stay away."""
        while True:
            status = await child.process.wait()
            with suppress(OSError):
                kill_group(child.process.pid)  # What the child had started must not outlive it.
            if time.monotonic() - child.started_s >= STEADY_AFTER_S:
                child.restarts = 0
            what, why = "ended by itself", ending(status)
            while why:
                await self._pause(child, what, why)
                what, why = "could not be started", await self._start_again(child)

    async def _pause(self, child: _Child, what: str, why: str) -> None:
        pause_s = pause_before_restart(child.restarts)
        child.restarts += 1
        self._write_down()
        with suppress(Exception):  # Who else listens there is a hint; where it cannot be had, the pause is taken alike.
            why += await _taken(child.program)
        self._say(f"{child.program.role} {what} ({why}); starting it again in {pause_s:g} s")
        await asyncio.sleep(pause_s)

    async def _start_again(self, child: _Child) -> str:
        """Why it could not be started; nothing if it was."""
        try:
            child.process, child.started_s = await spawn(child.program), time.monotonic()
        except Exception as failure:  # noqa: BLE001 - files, processes, memory: whatever lacks now may be there later
            return str(failure) or type(failure).__name__
        self._write_down()
        return ""

    def _say(self, line: str) -> None:
        # The terminal may be gone, the disk of the log full.
        with suppress(OSError, ValueError):
            self.tell(line)

    def _write_down(self) -> None:
        """Write down who runs; later, again and again, if it cannot be done now."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        try:
            self.changed(self.records())
        except (OSError, psutil.Error):
            self._later = asyncio.get_running_loop().call_later(_WRITE_AGAIN_AFTER_S, self._write_down)


async def _end(child: _Child) -> None:
    await stop(child.process, child.program)
    kill_group(child.process.pid)


async def _until_it_serves(child: _Child, serves: Probe, within_s: float) -> None:
    """Wait for the child itself: what answers at its port may be somebody else's. Raises DidNotStart."""
    deadline, program = time.monotonic() + within_s, child.program
    while not (await serves() and await asyncio.to_thread(_listens, child)):
        if child.process.returncode is not None:
            raise DidNotStart(program, f"it ended with {ending(child.process.returncode)}{await _taken(program)}")
        if time.monotonic() > deadline:
            raise DidNotStart(program, f"it did not serve within {within_s:g} s{await _taken(program, child)}")
        await asyncio.sleep(_PROBE_EVERY_S)


def _listens(child: _Child) -> bool:
    return all(ports.listens_itself(child.process.pid, port) for port in child.program.ports)


async def _taken(program: Program, child: _Child | None = None) -> str:
    """Which of a program's ports somebody else has, as the end of a sentence."""
    for port in program.ports:
        if child is not None and ports.listens_itself(child.process.pid, port):
            continue
        holder = await asyncio.to_thread(ports.holder_of, port)
        if holder is not None:
            return f", and {holder} listens on port {port}"
    return ""
