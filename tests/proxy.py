"""Owns a TCP proxy of the tests: what lies between a service and its server, and can be cut, frozen or slow."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

CHUNK = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing resets the connection."""

When = Literal["before", "halfway", "after"]


@dataclass
class Cut:
    """Where one conversation is cut: at the `at`th thing that a client says from now on, or at one with a marker.

    before: the server never hears of it; halfway: it hears half; after: it hears all, and its answer is lost.
    """

    when: When
    at: int = 0
    marker: bytes = b""
    said: int = 0
    done: bool = False

    def is_at(self, chunk: bytes) -> bool:
        """Whether this is the place. Counts."""
        if self.done:
            return False
        self.said += 1
        self.done = self.said == self.at or bool(self.marker and self.marker in chunk)
        return self.done


@dataclass(eq=False)
class _Line:
    """One connection and its other half."""

    to_client: asyncio.StreamWriter
    to_server: asyncio.StreamWriter
    loses_answer: bool = False

    def reset(self) -> None:
        _reset(self.to_client)
        _reset(self.to_server)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection as a network does that fails: by a reset, nothing said."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@dataclass
class Proxy:
    """Forwards every connection to the server, as long as the test lets it."""

    host: str
    server_port: int
    port: int = 0
    delay_s: float = 0.0
    accepts: bool = True
    cut: Cut | None = None
    freezes_at: int = 0
    """Freezes at that many things that clients say from now on."""
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _lines: set[_Line] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._flows.set()

    def through(self, url: str) -> str:
        """An address of the server as one of this proxy."""
        parts = urlsplit(url)
        place = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}".removeprefix("@")
        return urlunsplit(parts._replace(netloc=place))

    @property
    def open(self) -> int:
        """How many connections it holds."""
        return len(self._lines)

    def cut_all(self) -> None:
        """Reset every connection, whatever is said on it."""
        for line in list(self._lines):
            line.reset()

    def refuse(self) -> None:
        """Reset every connection, and each that is opened."""
        self.accepts = False
        self.cut_all()

    def accept(self) -> None:
        """Forward again."""
        self.accepts = True

    def freeze(self) -> None:
        """Hold everything back, in both directions; who connects is kept waiting."""
        self._flows.clear()

    def thaw(self) -> None:
        """Let everything through that was held back."""
        self._flows.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side ends it."""
        if not self.accepts:
            _reset(writer)
            return
        try:
            upstream, to_server = await asyncio.open_connection(self.host, self.server_port)
        except OSError:
            _reset(writer)
            return
        line = _Line(writer, to_server)
        self._lines.add(line)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._to_server(reader, line))
                pumps.create_task(self._to_client(upstream, line))
        except* OSError:
            pass
        finally:
            self._lines.discard(line)
            line.reset()

    async def _to_server(self, reader: asyncio.StreamReader, line: _Line) -> None:
        while chunk := await reader.read(CHUNK):
            self.freezes_at -= 1
            if self.freezes_at == 0:
                self.freeze()
            await self._held()
            when = self.cut.when if self.cut is not None and self.cut.is_at(chunk) else None
            if when is not None and when != "after":
                line.to_server.write(chunk[: len(chunk) // 2] if when == "halfway" else b"")
                await line.to_server.drain()
                raise ConnectionAbortedError
            line.loses_answer = when == "after"
            line.to_server.write(chunk)
            await line.to_server.drain()
        raise ConnectionAbortedError

    async def _to_client(self, upstream: asyncio.StreamReader, line: _Line) -> None:
        while chunk := await upstream.read(CHUNK):
            await self._held()
            if line.loses_answer:
                raise ConnectionAbortedError
            line.to_client.write(chunk)
            await line.to_client.drain()
        raise ConnectionAbortedError

    async def _held(self) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        await self._flows.wait()


@asynccontextmanager
async def proxy_of(url: str) -> AsyncIterator[Proxy]:
    """A proxy of the server that an address names."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 0)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
        proxy.thaw()
        proxy.cut_all()
