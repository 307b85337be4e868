"""Owns the mail server of benchmarks: it takes every letter at once, keeps none, and says when each had come.

A line on its output for each: `monotonic_s recipient`. It does as little as a mail server can, so that what is measured
is whoever sends.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.place import Place, process
from deploy.local.ports import choose_ports

END = b"\r\n.\r\n"
LOOK_AGAIN_S = 0.02


class Talk(asyncio.Protocol):
    """One connection, kept as long as its client likes."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._recipient = ""
        self._in_letter = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._answer(b"220 sink")

    def data_received(self, data: bytes) -> None:
        """Answer every whole line, or the whole letter."""
        self._received += data
        while True:
            before, found, after = self._received.partition(END if self._in_letter else b"\r\n")
            if not found:
                return
            self._received = after
            if self._in_letter:
                self._in_letter = False
                print(f"{time.monotonic()} {self._recipient}", flush=True)
                self._answer(b"250 taken")
            else:
                self._command(before)

    def _command(self, line: bytes) -> None:
        word = line[:4].upper()
        if word == b"EHLO":
            self._answer(b"250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8")
        elif word == b"DATA":
            self._in_letter = True
            self._answer(b"354 go on")
        elif word == b"QUIT":
            self._answer(b"221 goodbye")
        else:
            if word == b"RCPT":
                self._recipient = line.partition(b"<")[2].partition(b">")[0].decode()
            self._answer(b"250 yes")

    def _answer(self, said: bytes) -> None:
        assert self._transport is not None
        self._transport.write(said + b"\r\n")


class Sink:
    """A running sink as the bench sees it: who had a letter, and when."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log.open("r", encoding="utf-8")
        self._rest = ""

    def letters(self) -> list[tuple[float, str]]:
        """The letters that came since the last look: monotonic seconds, recipient."""
        *lines, self._rest = (self._rest + self._log.read()).split("\n")
        return [(float(at), recipient) for at, recipient in (line.split(" ", 1) for line in lines)]

    async def next_letters(self, within_s: float = 30) -> list[tuple[float, str]]:
        """The same, but at least one. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not (found := self.letters()):
                await asyncio.sleep(LOOK_AGAIN_S)
            return found

    def close(self) -> None:
        """Look no more."""
        self._log.close()


@asynccontextmanager
async def sunk(place: Place, name: str) -> AsyncIterator[Sink]:
    """A sink as a process of its own, once it listens."""
    port = choose_ports([name])[name]
    async with process(place, name, "-m", "benchmarks.sink", "--port", str(port), environment={}):
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(LOOK_AGAIN_S)
                else:
                    writer.close()
                    break
        sink = Sink(port, place.folder / f"{name}.log")
        try:
            yield sink
        finally:
            sink.close()


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Talk, "127.0.0.1", port)
    loop.add_signal_handler(signal.SIGTERM, sys.exit)
    async with server:
        await server.serve_forever()


def main() -> None:
    """`python -m benchmarks.sink --port P`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sink", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
