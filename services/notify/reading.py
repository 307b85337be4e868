"""Owns what is read for one letter: every fact it is written from, in one statement; it writes nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.db import Transaction
from shared.events.call import Call
from shared.web.languages import Language

# The score is the last one that stood when the outcome was decided; an outcome is the last before its announcement.
LOAD = """
SELECT CAST(d.delivery_id AS text) AS delivery_id, d.template, d.message_id, d.attempts,
    COALESCE(extract(epoch FROM clock_timestamp() - d.refused_since), 0) AS refused_for_s,
    CAST(d.application_id AS text) AS application_id, d.call_id, d.round_id, d.caused_at,
    CAST(d.words AS text) AS words, c.name, c.email, c.language,
    a.reference, a.title, a.organisation, a.requested_eur, a.submitted_at, a.deposited_sha256,
    k.version AS call_version, CAST(o.document AS text) AS outcome, CAST(s.document AS text) AS score
FROM delivery d
LEFT JOIN application a ON a.application_id = d.application_id
LEFT JOIN contact c ON c.applicant_id = COALESCE(a.applicant_id, d.applicant_id)
LEFT JOIN call k ON k.call_id = d.call_id
LEFT JOIN LATERAL (
    SELECT document, occurred_at FROM fact
    WHERE application_id = d.application_id AND kind = d.template AND (d.fact_until IS NULL OR sequence <= d.fact_until)
    ORDER BY sequence DESC LIMIT 1) o ON true
LEFT JOIN LATERAL (
    SELECT document FROM fact WHERE application_id = d.application_id AND kind = 'scored'
    ORDER BY occurred_at <= o.occurred_at DESC, sequence DESC LIMIT 1) s ON true
WHERE d.delivery_id = ANY(CAST(:ids AS uuid[]))
"""
CALL = "SELECT CAST(document AS text) FROM call WHERE call_id = :call_id"


@dataclass(frozen=True)
class Contact:
    """To whom a letter goes."""

    name: str
    email: str
    language: Language


@dataclass(frozen=True)
class About:
    """What a letter says of its application."""

    application_id: str
    reference: str
    title: str
    organisation: str
    requested_eur: int
    submitted_at: datetime
    deposited_sha256: str


@dataclass(frozen=True)
class Facts:
    """What a letter is written from. `words` is what only its cause says; `outcome` and `score` are events' JSON."""

    template: str
    caused_at: datetime
    words: dict[str, Any]
    about: About | None = None
    call: Call | None = None
    round_id: str | None = None
    outcome: dict[str, Any] | None = None
    score: dict[str, Any] | None = None


@dataclass(frozen=True)
class Claimed:
    """A letter that this process may send. `contact` is None if it was erased meanwhile."""

    delivery_id: str
    message_id: str
    attempts: int
    refused_for_s: float
    contact: Contact | None
    facts: Facts


class Calls:
    """The calls that letters were written for, parsed once for each version."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Call]] = {}

    async def get(self, tx: Transaction, call_id: str, version: int) -> Call:
        """The call as it is stored."""
        known = self._known.get(call_id)
        if known is None or known[0] != version:
            known = (version, Call.model_validate_json(await tx.fetch_value(CALL, call_id=call_id)))
            self._known[call_id] = known
        return known[1]


async def load(tx: Transaction, calls: Calls, delivery_ids: Sequence[str]) -> list[Claimed]:
    """Everything that these letters are written from."""
    rows = await tx.fetch_all(LOAD, ids=list(delivery_ids))
    return [
        Claimed(
            row["delivery_id"], row["message_id"], row["attempts"], float(row["refused_for_s"]),
            Contact(row["name"], row["email"], row["language"]) if row["email"] is not None else None,
            await _facts(tx, calls, row),
        )
        for row in rows
    ]  # fmt: skip


async def _facts(tx: Transaction, calls: Calls, row: Any) -> Facts:
    words, template = json.loads(row["words"]), row["template"]
    if row["reference"] is None:
        return Facts(template, row["caused_at"], words)
    about = About(**{name: row[name] for name in About.__dataclass_fields__})
    call = await calls.get(tx, row["call_id"], row["call_version"])
    return Facts(
        template, row["caused_at"], words, about, call, row["round_id"], _json(row["outcome"]), _json(row["score"])
    )


def _json(document: str | None) -> dict[str, Any] | None:
    return json.loads(document) if document is not None else None
