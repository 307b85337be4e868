"""Owns which clock a state folder runs on: the one that its data were made at; only a replay moves a clock.

Data of a simulated 2021 would all be overdue at the real clock, and at a simulated one that starts again nothing of the
real one would have happened yet. So a folder keeps its clock from its first start on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.local.state import StateFolder
from shared.clock import ENVIRONMENT_VARIABLE as CLOCK_VARIABLE
from shared.clock import read_clock, write_clock

BEFORE_EVERY_CALL = datetime(2000, 1, 1, tzinfo=UTC)
"""Where a simulated clock stands until a replay moves it: forwards only, so it starts before any call."""
_FRESH = "take a fresh state folder (--state-dir)"


class ClockRefused(Exception):
    """The clock that was asked for is not one that this folder can go on with; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A folder's clock: a simulated one's file, or None for the real clock; `why` in words."""

    file: Path | None
    why: str

    def __str__(self) -> str:
        """For whoever watches."""
        if self.file is None:
            return f"real ({self.why})"
        return f"simulated, {read_clock(self.file):%Y-%m-%d %H:%M} UTC in {self.file} ({self.why})"


def asked_for(state: StateFolder, named: Path | None, *, simulated: bool) -> Path | None:
    """The simulated clock's file that was asked for by option or environment; None if none was."""
    environment = os.environ.get(CLOCK_VARIABLE)
    file = named or (Path(environment) if environment and not simulated else None)
    return file.resolve() if file else state.clock_file if simulated else None


def settle(state: StateFolder, asked: Path | None) -> Clock:
    """The folder's clock for this run; a simulated one's file is there afterwards.

    Raises ClockRefused, shared.clock.ClockFileBroken, OSError.
    """
    clock = _clock(state, asked)
    if clock.file is not None:
        if not clock.file.exists():
            if not clock.file.parent.is_dir():
                raise ClockRefused(f"The folder of the clock {clock.file} does not exist.")
            write_clock(clock.file, BEFORE_EVERY_CALL)
        read_clock(clock.file)
    return clock


def _clock(state: StateFolder, asked: Path | None) -> Clock:
    if not state.knows_its_clock():
        return Clock(asked, "asked for" if asked else "no other was asked for")
    kept = state.kept_clock()
    if asked is None or asked == kept:
        if kept is not None and not kept.exists():
            raise ClockRefused(f"The data in {state.path} were made at the clock {kept}, which is gone: {_FRESH}.")
        return Clock(kept, "the data here were made at it; another needs a state folder of its own")
    if kept is None:
        raise ClockRefused(f"The data in {state.path} were made at the real clock: for a simulated one, {_FRESH}.")
    if not _goes_on(kept, asked):
        made = f"The data in {state.path} were made at the clock {kept}"
        raise ClockRefused(f"{made}, and time only goes forwards: for {asked}, {_FRESH}.")
    return Clock(asked, f"asked for, not earlier than {kept}, at which the data were made")


def _goes_on(kept: Path, asked: Path) -> bool:
    return asked.exists() and (not kept.exists() or read_clock(asked) >= read_clock(kept))
