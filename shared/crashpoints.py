"""Owns the named places where a test makes a process die at once; without one armed they do nothing.

`RELEVE_CRASH_AT=relay.sent:3` ends the process the third time it comes to that place, as a power cut would: no
clean-up, no flush. Refused when RELEVE_ENV=production (`shared/config.py`).
"""

import os
import sys
from typing import Literal, get_args

ENVIRONMENT_VARIABLE = "RELEVE_CRASH_AT"
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
]
PLACES: tuple[str, ...] = get_args(Place)


class CrashPlaceUnknown(Exception):
    """RELEVE_CRASH_AT names no place of the code; data: what it says."""

    def __init__(self, said: str) -> None:
        super().__init__(f"{ENVIRONMENT_VARIABLE}={said}: a place such as relay.sent or relay.sent:3 is expected")
        self.said = said


def armed() -> tuple[str, int] | None:
    """The place that is armed and at which arrival it fires. Raises CrashPlaceUnknown."""
    said = os.environ.get(ENVIRONMENT_VARIABLE)
    if not said:
        return None
    place, _, arrival = said.partition(":")
    if place not in PLACES or (arrival and not arrival.isdigit()):
        raise CrashPlaceUnknown(said)
    return place, int(arrival or 1)


_armed = armed()
_arrivals = 0


def crash_point(place: Place) -> None:
    """Die here if this place is armed and it is its time."""
    if _armed is None or _armed[0] != place:
        return
    global _arrivals  # noqa: PLW0603 - one process dies once
    _arrivals += 1
    if _arrivals == _armed[1]:
        sys.stderr.write(f'{{"event": "crash_point", "place": "{place}", "arrival": {_arrivals}}}\n')
        sys.stderr.flush()
        os._exit(EXIT_CODE)
