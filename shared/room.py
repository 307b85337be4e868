"""Owns how many bytes of requests a process holds at once; it reads none of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.group_commit import TooManyWait


class Room:
    """Room for the bodies of requests, from before one is read until it is answered: `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Hold room for a body of so many bytes. Raises TooManyWait; a single one always finds room."""
        if self._held and self._held + size > self._most:
            raise TooManyWait
        self._held += size
        try:
            yield
        finally:
            self._held -= size
