"""Owns the steps of simulated time: forwards only, never past something that is still to happen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from deploy.local.status import NotIdle
from shared.clock import read_clock, write_clock

SETTLED_WITHIN_S = 180.0
"""How long one step may take until nothing is left to do, restarts of services included."""


class Settles(Protocol):
    """Whoever can tell when nothing is left to do: `StatusProbe`."""

    async def wait_until_idle(self, deadline_s: float) -> datetime | None:
        """Wait; when the next timer is due. Raises NotIdle."""
        ...


class Steps:
    """The clock file of one system, moved from one settled instant to the next."""

    def __init__(self, clock_file: Path, probe: Settles, watch: Callable[[datetime], None]) -> None:
        self._file, self._probe, self._watch = clock_file, probe, watch

    @property
    def now(self) -> datetime:
        """The simulated time."""
        return read_clock(self._file)

    async def settle(self) -> datetime | None:
        """Wait until nothing is left to do at this instant; when the next timer is due. Raises NotIdle."""
        return await self._probe.wait_until_idle(SETTLED_WITHIN_S)

    async def move_to(self, instant: datetime) -> None:
        """Go there by way of every timer due before; an instant in the past leaves the clock. Raises NotIdle."""
        while self.now < instant:
            timer = await self.settle()
            if timer is not None and timer <= self.now:
                raise NotIdle(f"a timer of {timer.astimezone(UTC):%Y-%m-%d %H:%M} UTC was due and did not run")
            step = instant if timer is None else min(timer, instant)
            write_clock(self._file, step)
            self._watch(step)
