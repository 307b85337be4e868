"""Owns a mail server of the tests that can fail at any step of a delivery; else it takes every letter."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal

Step = Literal["greeting", "helo", "mail", "rcpt", "data", "letter"]
"""What the server is to answer: a connection, EHLO, MAIL FROM, RCPT TO, DATA, the letter itself."""
Fate = Literal[
    "hangs", "closes", "resets", "takes and hangs", "takes and closes", "takes and resets", "answers and resets"
]  # fmt: skip
COMMANDS: dict[bytes, Step] = {b"EHLO": "helo", b"HELO": "helo", b"MAIL": "mail", b"RCPT": "rcpt", b"DATA": "data"}
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What happens once, the next time that the step is come to: an answer such as `451 Later`, or a fate."""

    step: Step
    what: Fate | str


class Hung(Exception):
    """The server said all that it is going to say on this connection."""


@dataclass
class PostOffice:
    """`taken` are the letters that lie in the server, whether it said so or not."""

    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    taken: list[EmailMessage] = field(default_factory=list)
    on_taking: Callable[[], None] = lambda: None
    """Called when a letter was taken, before that is answered."""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        """What RELEVE_SMTP_URL is set to."""
        return f"smtp://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._open.add(writer)
        with suppress(Hung, OSError, asyncio.IncompleteReadError):
            await self._answer("greeting", "220 post office", reader, writer)
            while line := await reader.readline():
                command = line[:4].upper()
                if command == b"QUIT":
                    break
                step = COMMANDS.get(command)
                if step is None:
                    writer.write(b"250 as you say\r\n")
                    continue
                await self._answer(step, "354 go on" if step == "data" else "250 good", reader, writer)
        self._open.discard(writer)
        writer.close()

    def hang_up(self) -> None:
        """Close every connection that a client keeps."""
        for writer in self._open:
            writer.close()

    async def _answer(
        self, step: Step, usual: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, letter: bytes = b""
    ) -> None:
        what = self.faults.pop(0).what if self.faults and self.faults[0].step == step else usual
        if letter and (what == usual or what.startswith(("takes", "answers"))):
            message = email.message_from_bytes(letter, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.taken.append(message)
            self.on_taking()
        if what[:3].isdigit() or what.startswith("answers"):
            writer.write(f"{usual if what.startswith('answers') else what}\r\n".encode())
            await writer.drain()
        if what.endswith("hangs"):
            await reader.read()  # until the other side gives up
            raise Hung
        if what.endswith("resets"):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
            raise Hung
        if what.endswith("closes") or what.startswith("421"):
            raise Hung
        if what.startswith("354"):
            letter = (await reader.readuntil(b"\r\n.\r\n"))[:-5]
            await self._answer("letter", "250 kept", reader, writer, letter)


@asynccontextmanager
async def post_office() -> AsyncIterator[PostOffice]:
    """A mail server that serves until the end."""
    office = PostOffice()
    listening = await asyncio.start_server(office.serve, "127.0.0.1", 0, limit=2**20)
    office.port = listening.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        listening.close()
        office.hang_up()
