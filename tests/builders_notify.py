"""A notify service over a fresh database and a real mail server, and the events of one application to give to it."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from services.notify import samples
from services.notify.composing import Letters
from services.notify.consumers import subscribe
from services.notify.mailer import Mailer
from services.notify.settings import NotifySettings
from shared.db import Database
from shared.events import funding, review
from shared.events.base import Event
from shared.events.intake import ApplicationSubmitted, ApplicationWithdrawn, CallPublished, ContactUpdated
from shared.ids import new_id
from shared.messaging.consume import Consumer
from shared.messaging.records import RawRecord, event_headers
from shared.tasks import end_tasks
from tests.mailbox import Mailbox

NOW = datetime(2030, 4, 2, 8, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LETTERS = Letters("https://releve.example")
TO_DO = """
SELECT count(*) FROM delivery WHERE state = 'sending' OR (state IN ('waiting', 'refused_for_now') AND ready)
    OR (state = 'waiting' AND next_attempt_at <= :since)
"""
APPEAL = "Vous pouvez demander un réexamen au Fonds Exemple dans les deux mois."


@dataclass(frozen=True)
class Dossier:
    """One application of one applicant, and what the services say about it."""

    number: int = 1
    language: str = "fr"
    call_id: str = samples.CALL.id
    id: str = field(default_factory=new_id)
    applicant_id: str = field(default_factory=new_id)

    @property
    def email(self) -> str:
        return f"porteur-{self.number}@exemple.example"

    @property
    def reference(self) -> str:
        return f"EXEMPLE-2030-{self.number:04d}"

    def _said(self, **more: Any) -> dict[str, Any]:
        return {"occurred_at": NOW, "call_id": self.call_id, "call_version": 1, "round_id": samples.ROUND,
                "application_id": self.id} | more  # fmt: skip

    def call(self, **changes: Any) -> CallPublished:
        call = samples.CALL.model_copy(update={"id": self.call_id, **changes})
        return CallPublished(occurred_at=NOW, call_id=self.call_id, call_version=call.version, call=call)

    def contact(self, **changes: Any) -> ContactUpdated:
        values = {"name": f"Porteur {self.number}", "email": self.email, "language": self.language} | changes
        return ContactUpdated(occurred_at=NOW, applicant_id=self.applicant_id, **values)

    def submitted(self) -> ApplicationSubmitted:
        organisation = {"name": "Association Exemple", "siret": "00000000000000", "kind": "association",
                        "region": "Grand Est"}  # fmt: skip
        project = {"title": f"Projet {self.number}", "summary": "Un résumé", "themes": ["inclusion"],
                   "requested_eur": 35000, "starts_on": "2030-06-01", "ends_on": "2031-06-01"}  # fmt: skip
        return ApplicationSubmitted.model_validate(self._said(
            reference=self.reference, applicant_id=self.applicant_id, organisation=organisation, project=project,
            submitted_at=NOW - timedelta(days=61),
        ))  # fmt: skip

    def withdrawn(self) -> ApplicationWithdrawn:
        return ApplicationWithdrawn(**self._said(reason="Le partenaire s’est retiré."))

    def inadmissible(self) -> review.ApplicationInadmissible:
        return review.ApplicationInadmissible(
            **self._said(checks={"theme": True, "amount": False}, reason="Trop cher.")
        )

    def scored(self, revision: int = 1, score: str = "72.50", recommended_eur: int | None = 30000) -> review.Scored:
        return review.Scored.model_validate(self._said(
            revision=revision, score=score, basis="agreed", criteria={"relevance": "3.50", "employment": "2.00"},
            evaluations=2, spread="4.00", recommended_eur=recommended_eur, formula_version=1,
        ))  # fmt: skip

    def awarded(self, *, sealed: bool = True, amount_eur: int = 30000) -> funding.GrantAwarded:
        return funding.GrantAwarded(**self._said(
            sealed=sealed, grant_id=new_id(), amount_eur=amount_eur, requested_eur=35000, rank=1,
            answer_by=NOW + timedelta(days=30), ledger_entry=2,
        ))  # fmt: skip

    def waitlisted(self, *, sealed: bool = True) -> funding.ApplicationWaitlisted:
        return funding.ApplicationWaitlisted(**self._said(sealed=sealed, rank=7, reason="envelope_short"))

    def not_selected(self, *, sealed: bool = True) -> funding.ApplicationNotSelected:
        return funding.ApplicationNotSelected(**self._said(sealed=sealed, rank=None, reason="below_pass_mark"))

    def released(self, reason: str, *, sealed: bool = False) -> funding.GrantReleased:
        return funding.GrantReleased.model_validate(self._said(
            sealed=sealed, grant_id=new_id(), amount_eur=30000, reason=reason, ledger_entry=3
        ))  # fmt: skip

    def announced(self, outcome: str) -> funding.OutcomeAnnounced:
        return funding.OutcomeAnnounced.model_validate(self._said(outcome=outcome))

    def known(self) -> list[Event]:
        """What every letter needs: the call, the contact, the application."""
        return [self.call(), self.contact(), self.submitted()]


class Moody(Mailbox):
    """A mail server that may hang up after taking a message, before it says so."""

    hangs_up: int = 0
    holds: asyncio.Event | None = None
    """Where set, a taken message is answered only after this event (of the server's loop) is set: never, that is."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = await super().handle_DATA(server, session, envelope)
        if self.hangs_up:
            self.hangs_up -= 1
            server.transport.close()
        if self.holds is not None:
            await self.holds.wait()
        return answer


@dataclass
class Notify:
    """The service under test: give it events, let it send, read what it keeps."""

    db: Database
    mailbox: Mailbox
    settings: NotifySettings
    _sequences: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    _offset: int = 0

    def record(self, event: Event, sequence: int | None = None) -> RawRecord:
        """An event as its topic holds it; sequences count up in the order of calls."""
        return self._raw(event.topic_name, event.key, event.type_name(), event.model_dump_json().encode(), sequence)

    def tombstone(self, applicant_id: str, sequence: int | None = None) -> RawRecord:
        return self._raw(ContactUpdated.topic, applicant_id, ContactUpdated.type_name(), None, sequence)

    def _raw(self, topic: str, key: str, kind: str, value: bytes | None, sequence: int | None) -> RawRecord:
        self._offset += 1
        if sequence is None:
            sequence = self._sequences[topic, key] = self._sequences[topic, key] + 1
        source = topic.partition(".")[0]
        headers = event_headers(new_id(), kind, source, key, NOW.isoformat(), sequence, "test:1", TRACE)
        return RawRecord(topic, 0, self._offset, key.encode(), value, tuple(headers), 0)

    async def take(self, *given: Event | RawRecord, aside: int = 0) -> None:
        """Deliver events in this order, each batch of one topic twice."""
        records = [each if isinstance(each, RawRecord) else self.record(each) for each in given]
        while records:
            topic = records[0].topic
            batch = [records.pop(0)]
            while records and records[0].topic == topic:
                batch.append(records.pop(0))
            consumer = Consumer(self.db, subscribe, topic, self.settings)
            await consumer.take(batch)
            await consumer.take(batch)
        assert await self.count("dead_letter") == aside

    @asynccontextmanager
    async def sending(self, **changes: Any) -> AsyncIterator[Mailer]:
        """The mailer at work; cut off at the end as a killed process would be."""
        mailer = Mailer(self.db, self.settings.model_copy(update={"mail_grace_s": 0, **changes}), LETTERS)
        task = asyncio.create_task(mailer.run())
        try:
            yield mailer
        finally:
            await end_tasks([task])

    async def send_all(self) -> None:
        """Send until only letters that wait for a fact are left."""
        async with self.db.transaction() as tx:
            since = await tx.fetch_value("SELECT clock_timestamp()")
        async with self.sending(), asyncio.timeout(120):
            while await self._to_do(since):
                await asyncio.sleep(0.02)

    async def _to_do(self, since: datetime) -> bool:
        """Whether a letter is on its way, or was not looked at since then."""
        async with self.db.transaction() as tx:
            return bool(await tx.fetch_value(TO_DO, since=since))

    def letter(self, template: str) -> EmailMessage:
        """The one message of that template that was sent."""
        [found] = [each for each in self.mailbox.messages if each["X-Releve-Template"] == template]
        return found

    async def until(self, holds: Callable[[list[dict[str, Any]]], bool], within_s: float = 60) -> list[dict[str, Any]]:
        """The deliveries, once the condition holds. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not holds(rows := await self.deliveries()):
                await asyncio.sleep(0.02)
        return rows

    async def deliveries(self) -> list[dict[str, Any]]:
        async with self.db.transaction() as tx:
            rows = await tx.fetch_all("SELECT * FROM delivery ORDER BY created_at, delivery_id")
        return [dict(row) for row in rows]

    async def said(self) -> list[dict[str, Any]]:
        """The events in the outbox, with their type as `type`."""
        async with self.db.transaction() as tx:
            rows = await tx.fetch_all("SELECT type, payload FROM outbox ORDER BY id")
        return [{"type": row["type"].split(".")[1], **json.loads(row["payload"])} for row in rows]

    async def count(self, table: str) -> int:
        async with self.db.transaction() as tx:
            return int(await tx.fetch_value(f"SELECT count(*) FROM {table}"))  # noqa: S608 - a test names it


def templates(messages: Sequence[EmailMessage]) -> list[str]:
    return sorted(str(message["X-Releve-Template"]) for message in messages)


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def notify_settings(db: Database, mailbox_url: str, **changes: Any) -> NotifySettings:
    values: dict[str, Any] = {
        "database_url": db.dsn, "smtp_url": mailbox_url, "public_url": "https://releve.example",
        "retry_first_s": 0.01, "retry_longest_s": 0.05, "mail_poll_s": 0.05, "mail_retry_first_s": 0.05,
        "mail_retry_longest_s": 0.2, "mail_lease_s": 5, "mail_reply_timeout_s": 10, "mail_connect_timeout_s": 5,
    }  # fmt: skip
    return NotifySettings(**values | changes)
