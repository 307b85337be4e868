"""Owns who staff are: tokens of the OpenID Connect issuer, verified with its published keys; it keeps no password."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from shared.web.problems import Problem

log = structlog.get_logger()

ALGORITHMS = ["RS256", "ES256"]
KEYS_KEPT_S = 300.0
KEYS_AGAIN_AFTER_S = 5.0
FAILURE_KEPT_S = 1.0
"""How long one failed read of the keys answers everybody who needs them."""
CLOCK_SKEW_S = 30
TOKENS_KEPT = 4096


@dataclass(frozen=True)
class Staff:
    """A member of staff: the token's `sub` and its roles."""

    subject: str
    roles: frozenset[str]


class Issuer:
    """The issuer's keys, read again when a token names one that is not known.

    Whom a token names is kept, by its SHA-256, as long as the token and the keys that it was verified with hold. Who is
    known, and who can be verified with the keys at hand, never waits for a read that others brought about.
    """

    def __init__(self, url: str, audience: str) -> None:
        self._url = url.rstrip("/")
        self._audience = audience
        self._keys: KeySet | None = None
        self._read_at = self._failed_at = float("-inf")
        self._reading = asyncio.Lock()
        self._verified: dict[bytes, tuple[Staff, float]] = {}
        """Who, and until when (seconds since 1970)."""

    async def staff(self, token: str) -> Staff:
        """Whose token it is. Raises Problem 401 if it does not hold, 503 if the issuer's keys cannot be had."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None and time.time() < known[1] and self._held_keys(KEYS_KEPT_S) is not None:
            return known[0]
        claims = await self._verify(token, await self._current_keys(KEYS_KEPT_S))
        staff = _staff_of(claims)
        if len(self._verified) >= TOKENS_KEPT:
            self._verified.clear()
        self._verified[digest] = (staff, claims["exp"] + CLOCK_SKEW_S)
        return staff

    async def _verify(self, token: str, keys: KeySet) -> dict[str, Any]:
        try:
            return self._claims(token, keys)
        except (JoseError, ValueError):
            try:
                return self._claims(token, await self._current_keys(KEYS_AGAIN_AFTER_S))
            except (JoseError, ValueError):
                raise Problem(401, "unauthenticated", "The token does not hold.") from None

    def _claims(self, token: str, keys: KeySet) -> dict[str, Any]:
        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
        jwt.JWTClaimsRegistry(
            leeway=CLOCK_SKEW_S,
            iss={"essential": True, "value": self._url},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
        ).validate(decoded.claims)
        return decoded.claims

    def _held_keys(self, within_s: float) -> KeySet | None:
        """The keys at hand, if they were read within so many seconds."""
        return self._keys if time.monotonic() - self._read_at <= within_s else None

    async def _current_keys(self, within_s: float) -> KeySet:
        held = self._held_keys(within_s)
        if held is not None:
            return held
        async with self._reading:
            held = self._held_keys(within_s)  # another may have read them meanwhile, or failed to
            if held is not None:
                return held
            if time.monotonic() - self._failed_at < FAILURE_KEPT_S:
                raise _issuer_away()
            self._keys = await self._read_keys()
            self._verified.clear()
            self._read_at = time.monotonic()
            return self._keys

    async def _read_keys(self) -> KeySet:
        try:
            async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
                discovery = (
                    (await client.get(f"{self._url}/.well-known/openid-configuration")).raise_for_status().json()
                )
                keys = (await client.get(discovery["jwks_uri"])).raise_for_status().json()
            return KeySet.import_key_set(keys)
        except (httpx.HTTPError, KeyError, TypeError, ValueError, JoseError) as failure:
            self._failed_at = time.monotonic()
            log.warning("identity.issuer_away", reason=type(failure).__name__)
            raise _issuer_away() from None


def _issuer_away() -> Problem:
    return Problem(503, "unavailable", "The identity provider does not answer.", retry_after=5)


def _staff_of(claims: dict[str, Any]) -> Staff:
    roles = claims.get("roles", [])
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.isprintable() or not subject or not isinstance(roles, list):
        raise Problem(401, "unauthenticated", "The token names no subject or roles.")
    return Staff(subject, frozenset(str(role) for role in roles))


bearer = HTTPBearer(
    auto_error=False, scheme_name="staff",
    description="A token of the OpenID Connect issuer with the role that is asked for; locally `releve token ROLE`",
)  # fmt: skip


async def signed_in(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Staff:
    """The member of staff who asks. Raises Problem 401."""
    if credentials is None:
        raise Problem(401, "unauthenticated", "A bearer token is needed.")
    issuer: Issuer = request.app.state.issuer
    return await issuer.staff(credentials.credentials)


def require(*roles: str) -> Callable[..., Awaitable[Staff]]:
    """A dependency that gives the member of staff if one of the roles is theirs. Raises Problem 401, 403."""

    async def allowed(staff: Annotated[Staff, Depends(signed_in)]) -> Staff:
        if staff.roles.isdisjoint(roles):
            raise Problem(403, "forbidden", f"This needs the role {' or '.join(roles)}.")
        return staff

    return allowed
