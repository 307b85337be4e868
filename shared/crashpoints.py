"""Owns the named places where a test makes a process die at once; where no folder is named they do nothing.

`RELEVE_CRASH_DIR` names a folder. A file in it with a service's name and the line `relay.sent 3` ends that service's
process the third time it comes to that place from now on, as a power cut would: no clean-up, no flush. The file is
taken away by the process that dies, so that it dies once and its successor lives. Refused when RELEVE_ENV=production
(`shared/config.py`).
"""

import os
import sys
from pathlib import Path
from typing import Literal, get_args

ENVIRONMENT_VARIABLE = "RELEVE_CRASH_DIR"
EXIT_CODE = 86

Place = Literal[
    "db.before_commit",
    "db.after_commit",
    "consume.claimed",
    "consume.written",
    "consume.before_ack",
    "relay.before_send",
    "relay.sent",
    "relay.deleted",
    "timers.ran",
    "mail.claimed",
    "mail.taken",
    "mail.recorded",
    "funding.reserved",
    "funding.decided",
    "funding.released",
]
PLACES: tuple[str, ...] = get_args(Place)


def arm(folder: Path, service: str, place: Place, arrival: int = 1) -> None:
    """Make a process of the service die the given time that it comes to the place. Only tests call this."""
    draft = folder / f".{service}"
    draft.write_text(f"{place} {arrival}", encoding="utf-8")
    draft.replace(folder / service)


def is_armed() -> bool:
    """Whether a folder is named at all."""
    return bool(os.environ.get(ENVIRONMENT_VARIABLE))


class _Armed:
    """What one process knows of its own death: which order it has read, and how often it came to the place."""

    def __init__(self, folder: str | None) -> None:
        self.folder = folder
        self.order: Path | None = None
        self.seen: tuple[int, int] | None = None
        self.place, self.left = "", 0

    def of_service(self, service: str) -> None:
        self.order = Path(self.folder) / service if self.folder else None

    def arrived(self, place: str) -> bool:
        """Whether to die now."""
        if self.order is None:
            return False
        try:
            found = self.order.stat()
            if self.seen != (found.st_ino, found.st_mtime_ns):
                self.place, _, arrival = self.order.read_text(encoding="utf-8").partition(" ")
                self.left = int(arrival or 1)
                self.seen = (found.st_ino, found.st_mtime_ns)
        except FileNotFoundError:
            return False
        if place != self.place:
            return False
        self.left -= 1
        if self.left != 0:
            return False
        try:
            self.order.unlink()
        except FileNotFoundError:  # another process of the service took it
            return False
        return True


_armed = _Armed(os.environ.get(ENVIRONMENT_VARIABLE))


def this_process_is(service: str) -> None:
    """Say whose orders are meant for this process."""
    _armed.of_service(service)


def crash_point(place: Place) -> None:
    """Die here if this place is armed and it is its time."""
    if _armed.arrived(place):
        sys.stderr.write(f'{{"event": "crash_point", "place": "{place}"}}\n')
        sys.stderr.flush()
        os._exit(EXIT_CODE)
