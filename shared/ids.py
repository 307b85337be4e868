"""Owns new identities: UUIDv7, ordered by the real clock; never business time."""

from uuid_utils import uuid7


def new_id() -> str:
    """A new UUIDv7 in its canonical form."""
    return str(uuid7())
