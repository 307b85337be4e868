"""Owns the keyed hashes of intake: applicants' access tokens and what idempotency remembers; it stores nothing."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Access:
    """Makes and checks hashes under one secret; each use has a word of its own, so that none passes for another."""

    secret: bytes

    def token(self, application_id: str, version: int) -> str:
        """The access token of an application at a token version: recomputed whenever needed, never stored."""
        mac = self._mac("access", application_id, str(version))
        return f"{version}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    def version_of(self, application_id: str, token: str) -> int | None:
        """The token version that a token was made for, or None if this secret did not make it for the application."""
        version, _, _ = token.partition(".")
        if not (version.isascii() and version.isdigit() and len(version) <= 9):  # noqa: PLR2004 - a PostgreSQL int
            return None
        made = self.token(application_id, int(version))
        return int(version) if hmac.compare_digest(made.encode(), token.encode()) else None

    def of_address(self, address: str) -> bytes:
        """An e-mail address as idempotency remembers it."""
        return self._mac("address", address)

    def of_body(self, document: Any) -> bytes:
        """A request's body as idempotency remembers it: equal values are equal, however they are written.

        Raises ValueError for a number that is infinite to this program, such as 1e999.
        """
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return self._mac("body", canonical)

    def _mac(self, *parts: str) -> bytes:
        # A length before each part: no two lists of parts read the same.
        message = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
        return hmac.digest(self.secret, message, hashlib.sha256)
