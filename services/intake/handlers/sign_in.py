"""Owns signing in by a link in a mail: asked for by address, used once; it never tells whether an address is known.

Links and sessions are 256 random bits, stored as their SHA-256 only (`docs/design.md` §4). Their times are of the real
clock, as for every token; only what the letter says is business time.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.intake.reading import same_address
from services.intake.store import sign_ins
from shared.db import Transaction
from shared.events.intake import SignInRequested
from shared.telemetry import Cause

RANDOM_BYTES = 32
OPEN_LINKS = 3
"""So many links of one person may hold at a time: nobody's mailbox is filled by somebody else."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long a link and a session hold."""

    link: timedelta
    session: timedelta


def secret_sha256(secret: str) -> bytes:
    """A link or a session as it is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


async def send_link(tx: Transaction, email: str, page: str, times: Times, now: datetime, cause: Cause) -> None:
    """Send a link to the page at address `page`, if the address is an applicant's; nothing tells whether it is."""
    await sign_ins.forget_some(tx)
    secret = secrets.token_urlsafe(RANDOM_BYTES)
    applicant_id = await sign_ins.keep_link(tx, same_address(email), secret_sha256(secret), times.link, OPEN_LINKS)
    if applicant_id is not None:
        asked = SignInRequested(
            occurred_at=now, applicant_id=applicant_id, link=f"{page}?link={secret}", expires_at=now + times.link
        )
        tx.outbox.record(asked, cause)


async def open_session(tx: Transaction, link: str, times: Times) -> str | None:
    """The secret of a new session for a link that holds and was not used, or None."""
    secret = secrets.token_urlsafe(RANDOM_BYTES)
    used = await sign_ins.use_link(tx, secret_sha256(link), secret_sha256(secret), times.session)
    return secret if used else None
