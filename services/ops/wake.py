"""Owns the wake-up inside one process when the index grew; a signal only, the rows are read from the table."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Wake:
    """Wakes every listener of this process. Who listens in another process looks again after a moment."""

    def __init__(self) -> None:
        self.closing = False
        self._listening: set[asyncio.Event] = set()

    def ring(self) -> None:
        """The index grew."""
        for each in self._listening:
            each.set()

    def close(self) -> None:
        """The process ends: streams that never end by themselves should, so that it can."""
        self.closing = True
        self.ring()

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set at each ring; clear it before looking."""
        mine = asyncio.Event()
        self._listening.add(mine)
        try:
            yield mine
        finally:
            self._listening.discard(mine)
