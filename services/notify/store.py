"""Owns the stored facts that letters are written from, and notify's copy of contacts; it decides nothing.

Every write takes the newest by its number and is repeatable: a fact that comes late changes nothing newer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.db import Transaction
from shared.events.call import Call
from shared.events.deposit import deposited_sha256
from shared.events.intake import ApplicationSubmitted, ContactUpdated, SignInRequested

KEEP_CALLS = """
INSERT INTO call (call_id, version, document)
SELECT DISTINCT ON (call_id) call_id, version, CAST(document AS jsonb)
FROM unnest(CAST(:ids AS text[]), CAST(:versions AS int[]), CAST(:documents AS text[]))
    AS n (call_id, version, document)
ORDER BY call_id, version DESC
ON CONFLICT (call_id) DO UPDATE SET version = excluded.version, document = excluded.document
WHERE call.version < excluded.version
"""
KEEP_APPLICATIONS = """
INSERT INTO application (application_id, applicant_id, reference, title, organisation, requested_eur, submitted_at,
                         deposited_sha256)
SELECT * FROM unnest(
    CAST(:ids AS uuid[]), CAST(:applicants AS uuid[]), CAST(:references AS text[]), CAST(:titles AS text[]),
    CAST(:organisations AS text[]), CAST(:requested AS bigint[]), CAST(:submitted AS timestamptz[]),
    CAST(:digests AS text[])) AS n (application_id)
ORDER BY application_id
ON CONFLICT DO NOTHING
"""
KEEP_FACTS = """
INSERT INTO fact (application_id, kind, sequence, occurred_at, document)
SELECT application_id, kind, sequence, occurred_at, CAST(document AS jsonb) FROM unnest(
    CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:sequences AS bigint[]), CAST(:times AS timestamptz[]),
    CAST(:documents AS text[])) AS n (application_id, kind, sequence, occurred_at, document)
ORDER BY application_id
ON CONFLICT DO NOTHING
"""
KEEP_CONTACTS = """
INSERT INTO contact (applicant_id, sequence, name, email, language)
SELECT DISTINCT ON (applicant_id) applicant_id, sequence, name, email, language FROM unnest(
    CAST(:ids AS uuid[]), CAST(:sequences AS bigint[]), CAST(:names AS text[]), CAST(:emails AS text[]),
    CAST(:languages AS text[])) AS n (applicant_id, sequence, name, email, language)
ORDER BY applicant_id, sequence DESC
ON CONFLICT (applicant_id) DO UPDATE
SET sequence = excluded.sequence, name = excluded.name, email = excluded.email, language = excluded.language
WHERE contact.sequence < excluded.sequence
"""
OF_THE_ERASED = """
WHERE consumer = ANY(:consumers) AND topic = ANY(:topics)
    AND key_sha256 IN (SELECT sha256(k) FROM unnest(CAST(:keys AS bytea[])) AS k)
"""
# What was set aside or parked of an erased applicant is forgotten with the contact: the record stays, empty.
ERASE_BYTES = (
    f"UPDATE dead_letter SET value = NULL {OF_THE_ERASED}",  # noqa: S608 - constants only
    f"UPDATE parked_record SET value = NULL {OF_THE_ERASED}",  # noqa: S608 - constants only
)
PERSONAL_TOPICS = [ContactUpdated.topic, SignInRequested.topic]
PERSONAL_CONSUMERS = [f"notify.{topic}" for topic in PERSONAL_TOPICS]


@dataclass(frozen=True)
class Fact:
    """Something said of an application that its letters tell. `sequence` is its ce_sequence, `document` its JSON."""

    application_id: str
    kind: str
    sequence: int
    occurred_at: datetime
    document: str


async def keep_calls(tx: Transaction, calls: Sequence[Call]) -> None:
    """Keep each call in its newest version."""
    await tx.execute(
        KEEP_CALLS,
        ids=[call.id for call in calls],
        versions=[call.version for call in calls],
        documents=[call.model_dump_json() for call in calls],
    )


async def keep_applications(tx: Transaction, submitted: Sequence[ApplicationSubmitted]) -> None:
    """Keep what letters say of applications."""
    await tx.execute(
        KEEP_APPLICATIONS,
        ids=[each.application_id for each in submitted],
        applicants=[each.applicant_id for each in submitted],
        references=[each.reference for each in submitted],
        titles=[each.project.title for each in submitted],
        organisations=[each.organisation.name for each in submitted],
        requested=[each.project.requested_eur for each in submitted],
        submitted=[each.submitted_at for each in submitted],
        digests=[deposited_sha256(each) for each in submitted],
    )


async def keep_facts(tx: Transaction, facts: Sequence[Fact]) -> None:
    """Keep facts of applications."""
    await tx.execute(
        KEEP_FACTS,
        ids=[fact.application_id for fact in facts],
        kinds=[fact.kind for fact in facts],
        sequences=[fact.sequence for fact in facts],
        times=[fact.occurred_at for fact in facts],
        documents=[fact.document for fact in facts],
    )


async def keep_contacts(tx: Transaction, contacts: Sequence[tuple[ContactUpdated, int]]) -> None:
    """Keep contacts with their ce_sequence; one that is older than what is known changes nothing."""
    await tx.execute(
        KEEP_CONTACTS,
        ids=[contact.applicant_id for contact, _ in contacts],
        sequences=[sequence for _, sequence in contacts],
        names=[contact.name for contact, _ in contacts],
        emails=[contact.email for contact, _ in contacts],
        languages=[contact.language for contact, _ in contacts],
    )


async def erase_contacts(tx: Transaction, erased: Sequence[tuple[str, int]]) -> None:
    """Forget contacts, keeping (`applicant_id`, `ce_sequence`) so that nothing older restores them."""
    nobody = [None] * len(erased)
    await tx.execute(
        KEEP_CONTACTS,
        ids=[applicant_id for applicant_id, _ in erased],
        sequences=[sequence for _, sequence in erased],
        names=nobody,
        emails=nobody,
        languages=nobody,
    )
    for statement in ERASE_BYTES:
        keys = [applicant_id.encode() for applicant_id, _ in erased]
        await tx.execute(statement, consumers=PERSONAL_CONSUMERS, topics=PERSONAL_TOPICS, keys=keys)
