"""Owns how long relay and consumers let what follows closely come together; they take and send it themselves."""

import time
from collections.abc import Callable


class Gathering:
    """A pause after each piece that was not full: `first_s`, then twice as long each time, `longest_s` at most.

    It begins again at `first_s` when nothing came for as long as it last was.

    A produce request, a transaction and a commit of offsets cost the same for one event as for a hundred. Under a
    steady load they are shared by what comes in a tenth of a second; after a rest the first event waits for nothing.
    """

    def __init__(self, first_s: float, longest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first_s = first_s
        self._longest_s = max(first_s, longest_s)
        self._clock = clock
        self._pause_s = first_s
        self.due = 0.0
        """When the next piece may be taken, on the clock."""

    def had(self, count: int, at_most: int) -> None:
        """A piece had so many, and room for so many: a full one may be followed at once."""
        now = self._clock()
        if not 0 < count < at_most:
            return
        rested = now - self.due > self._pause_s
        self._pause_s = self._first_s if rested else min(2 * self._pause_s, self._longest_s)
        self.due = now + self._pause_s

    @property
    def wait_s(self) -> float:
        """How long until then."""
        return max(0.0, self.due - self._clock())
