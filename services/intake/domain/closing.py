"""Owns what a closed round says of its members, so that others can tell whether they received all of them."""

import hashlib
from collections.abc import Iterable


def members_sha256(application_ids: Iterable[str]) -> str:
    """SHA-256 of the sorted ids, joined by newlines, in hexadecimal (`docs/design.md` §4, RoundClosed)."""
    return hashlib.sha256("\n".join(sorted(application_ids)).encode()).hexdigest()
