"""Owns business time: the real clock, or one file that only a replay writes (`docs/design.md` §6, Time).

Tokens, leases, backoff and UUIDs use the real clock, never this one.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

ENVIRONMENT_VARIABLE = "RELEVE_CLOCK_FILE"


class ClockFileBroken(OSError):
    """The clock file does not hold one instant; data: the path and what stands in it.

    An OSError, as where the file is missing: nobody's request or event is at fault, all of them wait for the clock.
    """

    def __init__(self, path: Path, content: str) -> None:
        super().__init__(f"the clock file {path} holds {content[:40]!r}, not an instant such as 2021-08-02T09:15:00Z")
        self.path, self.content = path, content


def read_clock(path: Path) -> datetime:
    """The instant that a clock file holds, UTC. Raises ClockFileBroken, FileNotFoundError."""
    content = path.read_text(encoding="utf-8", errors="replace").strip()
    try:
        instant = datetime.fromisoformat(content)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):  # Overflow: an instant whose UTC lies before year 1 or after year 9999.
        pass
    raise ClockFileBroken(path, content)


def write_clock(path: Path, instant: datetime) -> None:
    """Move a clock file to an instant, in one step so that no reader sees half of it. Only a replay calls this."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(instant.astimezone(UTC).isoformat().replace("+00:00", "Z") + "\n", encoding="utf-8")
    draft.replace(path)


def is_simulated() -> bool:
    """Whether a clock file is named."""
    return bool(os.environ.get(ENVIRONMENT_VARIABLE))


def business_now() -> datetime:
    """Now, for receipts, deadlines, `occurred_at` and `ce_time`: aware, UTC."""
    path = os.environ.get(ENVIRONMENT_VARIABLE)
    return read_clock(Path(path)) if path else datetime.now(UTC)
