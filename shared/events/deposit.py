"""Owns the digest of what was deposited, the same on the page, in the letter and for anyone who holds the event.

It is the SHA-256 of the RFC 8785 JSON of `organisation`, `project` and `attachments` as ApplicationSubmitted says them:
no name or address of a person goes in, so it can be checked from the topic alone (`docs/design.md` §7, Submit).
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import rfc8785
from pydantic_core import to_json

from shared.events.intake import ApplicationSubmitted, Attachment, Organisation, Project


def deposited_sha256(submitted: ApplicationSubmitted) -> str:
    """The digest that a receipt carries, in hexadecimal."""
    return digest_of(submitted.organisation, submitted.project, submitted.attachments)


def digest_of(organisation: Organisation, project: Project, attachments: Sequence[Attachment] = ()) -> str:
    """The same for who holds the parts and not the event."""
    deposited: dict[str, Any] = {
        "organisation": organisation.model_dump(mode="json"),
        "project": project.model_dump(mode="json"),
        "attachments": [each.model_dump(mode="json") for each in attachments],
    }
    return sha256(canonical(deposited, project.answers)).hexdigest()


def canonical(deposited: dict[str, Any], named_freely: Iterable[str]) -> bytes:
    """The RFC 8785 JSON of a deposit: texts, whole euros, nulls, lists and names; of these `named_freely` are not ours.

    Pydantic writes such values the same, ten times faster. RFC 8785 sorts names by UTF-16, which is the order of Python
    as long as they are ASCII.
    """
    if all(name.isascii() for name in named_freely):
        return to_json(_sorted(deposited))
    return rfc8785.dumps(deposited)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
