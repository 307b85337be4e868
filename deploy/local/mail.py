"""Owns the local mail catcher: an SMTP server that keeps every message as a file and delivers none.

`RELEVE_MAIL_ORDERS` names a file by which a test makes it fail: each line is obeyed once, such as `rcpt 451 4.7.1
Later`, `letter 550 5.7.1 Spam`, or `letter resets` (it keeps the message, and ends the connection unsaid).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

ORDERS_VARIABLE = "RELEVE_MAIL_ORDERS"
RESETS = "resets"


def next_order(step: str) -> str | None:
    """What is to be answered at this step, once; None as usual."""
    path = os.environ.get(ORDERS_VARIABLE)
    if not path or not Path(path).exists():
        return None
    first, *others = Path(path).read_text("utf-8").splitlines() or [""]
    if not first.startswith(f"{step} "):
        return None
    draft = Path(f"{path}.draft")
    draft.write_text("\n".join(others), encoding="utf-8")
    draft.replace(path)
    return first.removeprefix(f"{step} ")


class Keep:
    """Writes each message to its own .eml file, whole or not at all, headed by whom it was for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, whoever it is."""
        ordered = next_order("rcpt")
        if ordered is None:
            envelope.rcpt_tos.append(address)
        return ordered or "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep one message. `X-Envelope-To` tells the recipients that SMTP was given, which headers need not repeat."""
        ordered = next_order("letter")
        if ordered is not None and ordered != RESETS:
            return ordered
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}-{next(self._numbers)}.eml"
        head = "".join(f"X-Envelope-To: {recipient}\r\n" for recipient in envelope.rcpt_tos)
        content = envelope.original_content or b""
        draft = self._folder / f"{name}.draft"  # no .eml until it is whole: who kills us must leave no half a letter
        try:
            draft.write_bytes(head.encode("utf-8") + content)
            draft.rename(self._folder / name)
        except OSError as failure:
            # Unanswered, it would count as a refusal for good: a full disk must not make a letter undeliverable.
            with suppress(OSError):
                draft.unlink()
            return f"452 4.3.1 Not kept: {failure.strerror}"
        if ordered == RESETS and isinstance(server.transport, asyncio.WriteTransport):
            server.transport.abort()
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
