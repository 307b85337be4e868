"""Owns the local mail catcher: an SMTP server that keeps every message as a file and delivers none."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session


class Keep:
    """Writes each message to its own .eml file, whole or not at all, headed by whom it was for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        """Keep one message. `X-Envelope-To` tells the recipients that SMTP was given, which headers need not repeat."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}-{next(self._numbers)}.eml"
        head = "".join(f"X-Envelope-To: {recipient}\r\n" for recipient in envelope.rcpt_tos)
        content = envelope.original_content or b""
        draft = self._folder / f".{name}"
        draft.write_bytes(head.encode("utf-8") + content)
        draft.rename(self._folder / name)
        return "250 Kept"


async def catch(folder: Path, host: str, port: int) -> asyncio.Server:
    """Start a catcher on the running loop. Raises OSError when the port is taken."""
    return await asyncio.get_running_loop().create_server(lambda: SMTP(Keep(folder), enable_SMTPUTF8=True), host, port)


async def _serve(folder: Path, host: str, port: int) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with await catch(folder, host, port):
        await stop.wait()


def main() -> None:
    """`python -m deploy.local.mail --folder F --port P`."""
    arguments = argparse.ArgumentParser(description="Keeps every message as a file.")
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=1025)
    given = arguments.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(given.folder, given.host, given.port))


if __name__ == "__main__":
    main()
