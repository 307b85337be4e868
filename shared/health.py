"""Owns what a process says of itself: alive by progress, ready by what is missing; it repairs nothing."""

import time
from dataclasses import dataclass, field


@dataclass
class Progress:
    """When one loop of the process last got something done, and what keeps it from that now.

    A loop that `ticks` goes round every few seconds even when idle; another is only expected to end what it began.
    """

    name: str
    ticks: bool = True
    last_success: float = field(default_factory=time.monotonic)
    busy_since: float | None = None
    problem: str | None = None
    ours: bool = False
    """Whether the problem is a mistake of this deployment rather than a dependency that is away."""

    def began(self) -> None:
        """The loop took up a piece of work."""
        self.busy_since = time.monotonic()

    def succeeded(self) -> None:
        """The loop went round, or its work was written."""
        self.last_success = time.monotonic()
        self.busy_since = None
        self.problem = None
        self.ours = False

    def waiting(self, reason: str) -> None:
        """The loop goes round, but what it works with is away; it stays until that comes back."""
        self.last_success = time.monotonic()
        self.busy_since = None
        self.problem = reason

    def failed(self, reason: str, *, ours: bool = False) -> None:
        """The loop is kept from its work."""
        self.problem = reason
        self.ours = ours

    def silent_s(self) -> float:
        """Seconds for which something was expected of this loop and did not come; 0 when nothing is expected."""
        since = self.last_success if self.ticks else self.busy_since
        return 0.0 if since is None else time.monotonic() - since


@dataclass
class Health:
    """The loops of one process."""

    loops: list[Progress] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    """What gets nothing done though its dependencies answer; the process ends if that stays so."""

    def watch(self, progress: Progress) -> Progress:
        """Watch one more loop."""
        self.loops.append(progress)
        return progress

    def missing(self) -> list[str]:
        """What is missing, a line each; empty when ready."""
        return [f"{loop.name}: {loop.problem}" for loop in self.loops if loop.problem]

    def silent(self, longer_than_s: float) -> dict[str, str]:
        """The loops from which nothing came for too long, by name, with what they said last."""
        return {
            loop.name: f"{loop.name}: nothing done for {loop.silent_s():.0f} s ({loop.problem or 'no reason given'})"
            for loop in self.loops
            if loop.silent_s() > longer_than_s
        }
