"""Owns the digest of what was deposited, the same on the page, in the letter and for anyone who holds the event.

It is the SHA-256 of the RFC 8785 JSON of `organisation`, `project` and `attachments` as ApplicationSubmitted says them:
no name or address of a person goes in, so it can be checked from the topic alone (`docs/design.md` §7, Submit).
"""

from hashlib import sha256

import rfc8785

from shared.events.intake import ApplicationSubmitted

DEPOSITED = {"organisation", "project", "attachments"}


def deposited_sha256(submitted: ApplicationSubmitted) -> str:
    """The digest that a receipt carries, in hexadecimal."""
    return sha256(rfc8785.dumps(submitted.model_dump(mode="json", include=DEPOSITED))).hexdigest()
