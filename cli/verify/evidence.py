"""Owns the gathering of what is checked: topics, databases, mail files, clients' answers; it judges none.

It is taken at rest: while events still travel, what has not arrived yet looks like what is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from deploy.local.system import System
from shared.events.topics import SERVICES
from shared.history import History
from shared.history.reading import read_history

Rows = Sequence[Mapping[str, Any]]

OF_EVERY_SERVICE = {
    "inbox": "SELECT consumer, event_id::text AS event_id FROM inbox",
    "outbox": "SELECT topic, key FROM outbox",
    "halted_key": "SELECT consumer, topic, cause FROM halted_key",
    "parked_record": 'SELECT consumer, topic, partition, "offset" FROM parked_record',
    "idle": "SELECT pid, state FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user"
    " AND state LIKE 'idle in transaction%' AND state_change < now() - interval '20 seconds'",
}
OF_ONE: Mapping[str, Mapping[str, str]] = {
    "intake": {
        "application": "SELECT application_id::text AS id, reference FROM application",
        "fact": "SELECT application_id::text AS id, kind, sequence FROM fact",
    },
    "review": {"application": "SELECT application_id::text AS id, state FROM application"},
    "funding": {
        "application": """
            SELECT a.application_id::text AS id, a.withdrawn_at IS NOT NULL AS withdrawn,
                   a.inadmissible_at IS NOT NULL AS inadmissible, a.score IS NOT NULL AS scored, a.outcome,
                   w.state AS award
            FROM application a LEFT JOIN award w USING (application_id) WHERE a.submitted_at IS NOT NULL""",
        "balance": "SELECT call_id, last_entry, envelope_eur, reserved_eur, committed_eur FROM balance",
        "ledger_entry": "SELECT call_id, number, debit, credit, amount_eur FROM ledger_entry",
    },
    "notify": {
        "delivery": "SELECT message_id, state, application_id::text AS id, template FROM delivery",
    },
    "ops": {
        "event": 'SELECT topic, partition, "offset", event_id, problem IS NULL AS readable FROM event',
    },
}


class NotReached(Exception):
    """A service's database does not answer; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one client was answered for one submission: the last status (0: none came), and of a 201 what it said."""

    call_id: str
    key: str
    title: str
    status: int
    application_id: str | None = None
    reference: str | None = None
    access_token: str | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything that is held side by side. What could not be asked is None, and nothing is said about it."""

    history: History
    tables: Mapping[str, Mapping[str, Rows]]
    """Rows by service and table."""
    received: frozenset[str] | None = None
    """The Message-ID of every message that the mail catcher keeps."""
    answers: Sequence[Answer] = ()
    seen: Mapping[str, str] = field(default_factory=dict)
    """The status that intake shows to the holder of each application's token."""


async def gather(system: System, answers: Sequence[Answer] = ()) -> Evidence:
    """Read everything of a system at rest. Raises KafkaError, NotReached, httpx.HTTPError."""
    history = await read_history(system.kafka)
    tables = {service: await _tables(service, url) for service, url in system.databases.items() if service in SERVICES}
    folder = system.mail_folder
    received = None if folder is None else frozenset(await asyncio.to_thread(received_message_ids, folder))
    return Evidence(history, tables, received, answers, await _seen(system, answers))


def received_message_ids(folder: Path) -> set[str]:
    """The Message-ID of every message that the mail catcher keeps."""
    parser = BytesHeaderParser(policy=policy.default)
    found = set()
    for path in folder.glob("*.eml"):
        with path.open("rb") as message:
            found.add(str(parser.parse(message)["Message-ID"]).strip())
    return found


async def _tables(service: str, url: str) -> dict[str, Rows]:
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, asyncpg.PostgresError) as failure:
        raise NotReached(f"The database of {service} does not answer: {failure or type(failure).__name__}") from None
    try:
        # One snapshot, so that the tables of a service agree with each other.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {
                name: [dict(row) for row in await connection.fetch(sql)]
                for name, sql in {**OF_EVERY_SERVICE, **OF_ONE[service]}.items()
            }
    finally:
        await connection.close()


async def _seen(system: System, answers: Sequence[Answer]) -> dict[str, str]:
    seen: dict[str, str] = {}
    async with httpx.AsyncClient(base_url=system.services["intake"], timeout=30) as client:
        for answer in answers:
            if answer.application_id is not None:
                shown = await client.get(
                    f"/api/v1/applications/{answer.application_id}",
                    headers={"Authorization": f"Bearer {answer.access_token}"},
                )
                seen[answer.application_id] = shown.json().get("status", str(shown.status_code))
    return seen
