"""Owns the tests' mail server: a real SMTP server in a thread, which keeps what it is sent and can refuse."""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.ports import choose_ports


@dataclass
class Mailbox:
    """What was sent. `answers` are given to the next messages instead of taking them, such as `"451 Later"`."""

    port: int
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """What RELEVE_SMTP_URL is set to."""
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take one message, or give the next answer."""
        with self._lock:
            if self.answers:
                return self.answers.pop(0)
            message = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
            self.recipients.append(list(envelope.rcpt_tos))
            return "250 Kept"

    async def wait_for(self, count: int, within_s: float = 10) -> list[EmailMessage]:
        """The messages, once there are that many. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while len(self.messages) < count:
                await asyncio.sleep(0.02)
        return self.messages


def started_mailbox() -> tuple[Mailbox, Controller]:
    """A mailbox that serves until its controller is stopped."""
    mailbox = Mailbox(choose_ports(["mail"])["mail"])
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, enable_SMTPUTF8=True)
    controller.start()
    return mailbox, controller
