"""Owns new identities: UUIDv7, ordered by the real clock; never business time."""

import re

from uuid_utils import uuid7

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def new_id() -> str:
    """A new UUIDv7 in its canonical form."""
    return str(uuid7())


def is_id(text: str) -> bool:
    """Whether a text from outside has an id's canonical form."""
    return _CANONICAL.fullmatch(text) is not None
