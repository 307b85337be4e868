"""Owns the rows of sign-in links and of the sessions that they open; it decides nothing. Times are the database's."""

from datetime import timedelta
from typing import Literal

from shared.db import Transaction

LinkState = Literal["holds", "used", "gone"]

# Two requests at once must not both see room for one more link.
LOCK_PERSON = "SELECT FROM applicant WHERE email_key = :email_key FOR NO KEY UPDATE"

KEEP_LINK = """
INSERT INTO sign_in (link_sha256, applicant_id, link_until)
SELECT :link, a.applicant_id, now() + CAST(:holds AS interval) FROM applicant a
WHERE a.email_key = :email_key
  AND (SELECT count(*) FROM sign_in s
       WHERE s.applicant_id = a.applicant_id AND s.session_sha256 IS NULL AND s.link_until > now()) < :at_most
RETURNING applicant_id::text AS applicant_id
"""

USE_LINK = """
UPDATE sign_in SET session_sha256 = :session, session_until = now() + CAST(:holds AS interval)
WHERE link_sha256 = :link AND session_sha256 IS NULL AND link_until > now()
RETURNING applicant_id
"""

LINK_STATE = """
SELECT CASE WHEN session_sha256 IS NOT NULL THEN 'used' WHEN link_until > now() THEN 'holds' END
FROM sign_in WHERE link_sha256 = :link
"""

IN_SESSION = """
SELECT applicant_id::text AS applicant_id FROM sign_in WHERE session_sha256 = :session AND session_until > now()
"""

END = "DELETE FROM sign_in WHERE session_sha256 = :session"

FORGET = """
DELETE FROM sign_in WHERE link_sha256 IN (
    SELECT link_sha256 FROM sign_in WHERE coalesce(session_until, link_until) < now()
    ORDER BY coalesce(session_until, link_until) LIMIT 100 FOR UPDATE SKIP LOCKED
)
"""


async def keep_link(tx: Transaction, email_key: str, link: bytes, holds: timedelta, at_most: int) -> str | None:
    """Keep a link of the applicant with that address; None if there is none, or if `at_most` links hold already."""
    # A statement of its own: the count after it sees what the holder of the lock before us committed.
    await tx.execute(LOCK_PERSON, email_key=email_key)
    row = await tx.fetch_one(KEEP_LINK, email_key=email_key, link=link, holds=holds, at_most=at_most)
    return None if row is None else str(row["applicant_id"])


async def use_link(tx: Transaction, link: bytes, session: bytes, holds: timedelta) -> bool:
    """Turn a link into a session, once; False if it does not hold or was used."""
    return await tx.fetch_one(USE_LINK, link=link, session=session, holds=holds) is not None


async def link_state(tx: Transaction, link: bytes) -> LinkState:
    """Whether a link still opens a session, or opened one, or is none that is known here any more."""
    found: LinkState | None = await tx.fetch_value(LINK_STATE, link=link)
    return found or "gone"


async def applicant_in_session(tx: Transaction, session: bytes) -> str | None:
    """Whose session it is, while it holds."""
    row = await tx.fetch_one(IN_SESSION, session=session)
    return None if row is None else str(row["applicant_id"])


async def end_session(tx: Transaction, session: bytes) -> None:
    """Sign out."""
    await tx.execute(END, session=session)


async def forget_some(tx: Transaction) -> None:
    """Delete a piece of what holds no more."""
    await tx.execute(FORGET)
