"""Owns identities: new ones are UUIDv7, ordered by the real clock, never business time; others follow from names."""

import re

from uuid_utils import NAMESPACE_URL, UUID, uuid5, uuid7

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def new_id() -> str:
    """A new UUIDv7 in its canonical form."""
    return str(uuid7())


def namespace_of(urn: str) -> UUID:
    """The namespace of ids that follow from names."""
    return uuid5(NAMESPACE_URL, urn)


def id_named(namespace: UUID, event_id: str, name: str) -> str:
    """The UUIDv5 of a name beside an id, whose case says nothing: always the same."""
    return str(uuid5(namespace, f"{UUID(event_id)}/{name}"))


def is_id(text: str) -> bool:
    """Whether a text from outside has an id's canonical form."""
    return _CANONICAL.fullmatch(text) is not None
