"""Owns one kept connection to the mail server and what became of each letter handed over on it; it keeps no state.

An answer is a value: the caller decides what it means. Only a letter that the server took may count as sent.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import aiosmtplib
from aiosmtplib.errors import (
    SMTPConnectError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from services.notify.domain.replies import reason_of_reply
from services.notify.envelope import Envelope
from services.notify.settings import MailServer

FRESH_S = 1.0
"""A connection that was idle for longer is asked whether it still holds before a letter is begun on it."""
SHUTTING_DOWN = 421


@dataclass(frozen=True)
class Taken:
    """The server has taken the letter."""


@dataclass(frozen=True)
class Refused:
    """The server refused this letter."""

    code: int
    text: str


@dataclass(frozen=True)
class Away:
    """The server cannot be used now, by anybody: this letter was not begun."""

    reason: str


@dataclass(frozen=True)
class Lost:
    """The connection ended while the letter was in the server's hands: it may or may not have taken it."""

    reason: str


Answer = Taken | Refused | Away | Lost


class Line:
    """One connection, opened when a letter comes and kept for the next."""

    def __init__(self, server: MailServer, helo: str, connect_timeout_s: float, reply_timeout_s: float) -> None:
        self._server = server
        self._helo = helo
        self._connect_timeout_s = connect_timeout_s
        self._reply_timeout_s = reply_timeout_s
        self._client: aiosmtplib.SMTP | None = None
        self.used_at = time.monotonic()

    async def hand_over(self, envelope: Envelope) -> Answer:
        """Give one letter to the server and wait for its answer, at most the reply's time-out."""
        try:
            client = await self._open()
        except (SMTPException, OSError, TimeoutError) as failure:
            self.close()
            return Away(_reason(failure))
        try:
            return await self._send(client, envelope)
        except BaseException:
            # Cancelled or unforeseen: nobody knows where the conversation stands.
            self.close()
            raise
        finally:
            self.used_at = time.monotonic()

    async def _send(self, client: aiosmtplib.SMTP, envelope: Envelope) -> Answer:
        try:
            await client.send_message(
                envelope.message, sender=envelope.sender, recipients=[envelope.recipient], timeout=self._reply_timeout_s
            )
        except SMTPSenderRefused as refusal:
            # Whatever is wrong with our own address is wrong for every letter: none may fail for it.
            self.close()
            return Away(f"sender refused: {reason_of_reply(refusal.code, refusal.message)}")
        except SMTPRecipientsRefused as refusals:
            refused = refusals.recipients[0]
            return self._refused(refused.code, refused.message)
        except (SMTPServerDisconnected, SMTPTimeoutError, OSError) as lost:
            self.close()
            return Lost(type(lost).__name__)
        except SMTPResponseException as refusal:
            return self._refused(refusal.code, refusal.message)
        except (SMTPNotSupported, ValueError) as refusal:
            # An address that is not ASCII where the server takes none, or that no server takes (RFC 6531, RFC 3463).
            return Refused(553, "5.6.7" if isinstance(refusal, SMTPNotSupported) else "5.1.3")
        return Taken()

    def _refused(self, code: int, text: str) -> Answer:
        if code == SHUTTING_DOWN:
            self.close()
        return Refused(code, text)

    async def _open(self) -> aiosmtplib.SMTP:
        if self._client is not None and self._client.is_connected:
            if time.monotonic() - self.used_at < FRESH_S:
                return self._client
            try:
                await self._client.noop(timeout=self._connect_timeout_s)
            except (SMTPException, OSError, TimeoutError):
                self.close()
            else:
                return self._client
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host, port=server.port, local_hostname=self._helo, timeout=self._connect_timeout_s,
            use_tls=server.tls == "implicit", start_tls={"implicit": False, "required": True}.get(server.tls),
            username=server.user or None, password=server.password or None,
        )  # fmt: skip
        await client.connect()
        self._client = client
        return client

    def close(self) -> None:
        """Drop the connection; the next letter opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def leave(self) -> None:
        """Say goodbye, briefly, and close."""
        if self._client is not None and self._client.is_connected:
            # The server is free to hang up first.
            with suppress(SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._client.quit(timeout=1)
        self.close()


def _reason(failure: BaseException) -> str:
    if isinstance(failure, SMTPResponseException):
        return f"smtp: {reason_of_reply(failure.code, failure.message)}"
    cause = failure.__cause__ if isinstance(failure, SMTPConnectError) and failure.__cause__ else failure
    return f"smtp: {type(cause).__name__}"
