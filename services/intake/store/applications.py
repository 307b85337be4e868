"""Owns the rows of applications, applicants and idempotency keys; it decides nothing.

Submissions are written set-based: any number of them is the same few statements.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.db import Row, Transaction

# What ends without a commit leaves nothing: a key is held by a lock, not by a row.
CLAIM_KEYS = """
SELECT pg_try_advisory_xact_lock(k.number) AS ours
FROM unnest(CAST(:numbers AS bigint[])) WITH ORDINALITY AS k (number, position) ORDER BY k.position
"""

# A statement of its own, so that it sees what whoever held the key before committed. One look into the index for each:
# a join would be free to read all keys of the call.
LOOK_UP = """
SELECT c.version, s.*
FROM unnest(CAST(:calls AS text[]), CAST(:addresses AS bytea[]), CAST(:keys AS text[]))
     WITH ORDINALITY AS k (call_id, address_hmac, key, position)
LEFT JOIN call c USING (call_id)
LEFT JOIN LATERAL (
    SELECT i.body_hmac, a.application_id::text AS application_id, a.reference, a.submitted_at, a.token_version
    FROM idempotency i JOIN application a USING (application_id)
    WHERE i.call_id = k.call_id AND i.address_hmac = k.address_hmac AND i.key = k.key LIMIT 1
) s ON true
ORDER BY k.position
"""

# `docs/design.md` §7, Close: a shared lock that the closer waits for, and that waits for the closer.
OPEN_ROUNDS = """
SELECT round_id FROM round WHERE round_id = ANY(CAST(:rounds AS text[])) AND closed_at IS NULL
ORDER BY round_id FOR SHARE
"""

# Sorted, because two sessions that insert the same addresses in different orders deadlock.
NEW_APPLICANTS = """
INSERT INTO applicant (applicant_id, email, email_key, name, language)
SELECT DISTINCT ON (p.email_key) p.applicant_id, p.email, p.email_key, p.name, p.language
FROM unnest(CAST(:ids AS uuid[]), CAST(:emails AS text[]), CAST(:email_keys AS text[]), CAST(:names AS text[]),
            CAST(:languages AS text[])) WITH ORDINALITY AS p (applicant_id, email, email_key, name, language, position)
ORDER BY p.email_key, p.position
ON CONFLICT (email_key) DO NOTHING
RETURNING applicant_id::text AS applicant_id, email_key
"""

APPLICANTS = """
SELECT applicant_id::text AS applicant_id, email_key FROM applicant WHERE email_key = ANY(CAST(:email_keys AS text[]))
"""

# The counters come last, because every other submission of the call waits for them until the commit.
INSERT = """
WITH entry AS (
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:calls AS text[]), CAST(:versions AS int[]), CAST(:rounds AS text[]),
        CAST(:applicants AS uuid[]), CAST(:organisations AS text[]), CAST(:projects AS text[]),
        CAST(:times AS timestamptz[]), CAST(:addresses AS bytea[]), CAST(:keys AS text[]), CAST(:bodies AS bytea[])
    ) WITH ORDINALITY AS e (application_id, call_id, call_version, round_id, applicant_id, organisation, project,
                            submitted_at, address_hmac, key, body_hmac, position)
), held AS (
    SELECT call_id FROM call WHERE call_id IN (SELECT call_id FROM entry) ORDER BY call_id FOR NO KEY UPDATE
), counter AS (
    UPDATE call c SET last_reference = c.last_reference + n.more
    FROM held JOIN (SELECT call_id, count(*) AS more FROM entry GROUP BY call_id) n USING (call_id)
    WHERE c.call_id = held.call_id
    RETURNING c.call_id, c.reference_prefix, c.last_reference - n.more AS before
), numbered AS (
    SELECT e.*, c.reference_prefix,
           c.before + row_number() OVER (PARTITION BY e.call_id ORDER BY e.position) AS number
    FROM entry e JOIN counter c USING (call_id)
), stored AS (
    INSERT INTO application (application_id, call_id, call_version, round_id, applicant_id, number, reference,
                             organisation, project, submitted_at)
    SELECT application_id, call_id, call_version, round_id, applicant_id, number,
           reference_prefix || '-' || lpad(number::text, greatest(4, length(number::text)), '0'),
           CAST(organisation AS jsonb), CAST(project AS jsonb), submitted_at
    FROM numbered ORDER BY position
    RETURNING application_id, reference, token_version
), remembered AS (
    INSERT INTO idempotency (call_id, address_hmac, key, body_hmac, application_id)
    SELECT call_id, address_hmac, key, body_hmac, application_id FROM numbered
    ORDER BY call_id, address_hmac, key
)
SELECT application_id::text AS application_id, reference, token_version FROM stored
"""

ONE = """
SELECT a.application_id::text AS application_id, a.applicant_id::text AS applicant_id, a.reference, a.call_id,
       a.call_version, a.round_id, a.token_version,
       a.organisation, a.project, a.submitted_at, r.closed_at, r.announce_at, n.announced_at
FROM application a JOIN round r USING (round_id) LEFT JOIN announcement n USING (round_id)
WHERE a.application_id = CAST(:id AS uuid)
"""

OF_APPLICANT = """
SELECT a.application_id::text AS application_id, a.reference, a.project ->> 'title' AS title, a.submitted_at,
       r.closed_at, v.document ->> 'time_zone' AS time_zone
FROM application a JOIN round r USING (round_id)
JOIN call_version v ON v.call_id = a.call_id AND v.version = a.call_version
WHERE a.applicant_id = CAST(:applicant AS uuid)
ORDER BY a.submitted_at DESC, a.application_id DESC LIMIT 50
"""

LOCK = "SELECT FROM application WHERE application_id = ANY(CAST(:ids AS uuid[])) ORDER BY application_id FOR UPDATE"


@dataclass(frozen=True, slots=True)
class NewApplication:
    """One submission to be stored. `organisation` and `project` are JSON; `applicant_id` is for a new address."""

    application_id: str
    call_id: str
    call_version: int
    round_id: str
    applicant_id: str
    email: str
    email_key: str
    name: str
    language: str
    organisation: str
    project: str
    submitted_at: datetime
    key: str
    address_hmac: bytes
    body_hmac: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """The application that a key stands for. `body_hmac` is the body it came with."""

    application_id: str
    reference: str
    submitted_at: datetime
    token_version: int
    body_hmac: bytes


@dataclass(frozen=True, slots=True)
class Inserted:
    """A submission was stored. `new_applicant` if its address was seen for the first time."""

    stored: Stored
    applicant_id: str
    new_applicant: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """The round took its last application."""


@dataclass(frozen=True, slots=True)
class KeyOf:
    """An idempotency key and what it belongs to; `address_hmac` None where the body has no address."""

    call_id: str
    address_hmac: bytes | None
    key: str

    @property
    def lock_number(self) -> int | None:
        """The number of the lock that holds this key."""
        if self.address_hmac is None:
            return None
        digest = hashlib.sha256(b"\0".join([self.call_id.encode(), self.address_hmac, self.key.encode()])).digest()
        return int.from_bytes(digest[:8], signed=True)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A key that was asked for: whether this transaction holds it now (`ours`), and the application it stands for.

    `version` is the current one of its call, None if there is no such call.
    """

    version: int | None
    stored: Stored | None
    ours: bool


async def claim_keys(tx: Transaction, keys: Sequence[KeyOf]) -> list[Claimed]:
    """Hold keys until the transaction ends, as far as no other does; what is known of each, in order."""
    held = await tx.fetch_all(CLAIM_KEYS, numbers=[each.lock_number for each in keys])
    rows = await tx.fetch_all(
        LOOK_UP, calls=[each.call_id for each in keys], addresses=[each.address_hmac for each in keys],
        keys=[each.key for each in keys],
    )  # fmt: skip
    return [Claimed(row["version"], _stored_in(row), bool(lock["ours"])) for lock, row in zip(held, rows, strict=True)]


def _stored_in(row: Row) -> Stored | None:
    if row["application_id"] is None:
        return None
    return Stored(
        row["application_id"], row["reference"], row["submitted_at"], row["token_version"], bytes(row["body_hmac"])
    )


async def insert_applications(tx: Transaction, rows: Sequence[NewApplication]) -> list[Inserted | Closed]:
    """Store submissions whose round is open, under keys that are held and stand for nothing; in order."""
    wanted = sorted({row.round_id for row in rows})
    still_open = {row["round_id"] for row in await tx.fetch_all(OPEN_ROUNDS, rounds=wanted)}
    taken = [row for row in rows if row.round_id in still_open]
    inserted = iter(await _insert(tx, taken) if taken else [])
    return [next(inserted) if row.round_id in still_open else Closed() for row in rows]


async def _insert(tx: Transaction, rows: Sequence[NewApplication]) -> list[Inserted]:
    new, applicants = await _applicants(tx, rows)
    made = await tx.fetch_all(
        INSERT, ids=[row.application_id for row in rows], calls=[row.call_id for row in rows],
        versions=[row.call_version for row in rows], rounds=[row.round_id for row in rows],
        applicants=[applicants[row.email_key] for row in rows], organisations=[row.organisation for row in rows],
        projects=[row.project for row in rows], times=[row.submitted_at for row in rows],
        addresses=[row.address_hmac for row in rows], keys=[row.key for row in rows],
        bodies=[row.body_hmac for row in rows],
    )  # fmt: skip
    by_id = {each["application_id"]: each for each in made}
    inserted = []
    for row in rows:
        each = by_id[row.application_id]
        stored = Stored(
            row.application_id, each["reference"], row.submitted_at, each["token_version"], row.body_hmac
        )  # fmt: skip
        # Of several first applications of one person in a batch, one brings the contact.
        first = new.pop(row.email_key, None) is not None
        inserted.append(Inserted(stored, applicants[row.email_key], new_applicant=first))
    return inserted


async def _applicants(tx: Transaction, rows: Sequence[NewApplication]) -> tuple[dict[str, str], dict[str, str]]:
    """Applicants by address: those that are new now, and all."""
    made = await tx.fetch_all(
        NEW_APPLICANTS, ids=[row.applicant_id for row in rows], emails=[row.email for row in rows],
        email_keys=[row.email_key for row in rows], names=[row.name for row in rows],
        languages=[row.language for row in rows],
    )  # fmt: skip
    new = {each["email_key"]: each["applicant_id"] for each in made}
    older = sorted({row.email_key for row in rows} - set(new))
    found = await tx.fetch_all(APPLICANTS, email_keys=older) if older else []
    return dict(new), new | {each["email_key"]: each["applicant_id"] for each in found}


async def one_application(tx: Transaction, application_id: str) -> Row | None:
    """An application with what its page tells of its round, or None."""
    return await tx.fetch_one(ONE, id=application_id)


async def all_of_applicant(tx: Transaction, applicant_id: str) -> Sequence[Row]:
    """A person's newest 50 applications, newest first."""
    return await tx.fetch_all(OF_APPLICANT, applicant=applicant_id)


async def lock_applications(tx: Transaction, application_ids: Sequence[str]) -> None:
    """Nobody else changes these applications' facts until the transaction ends. Sorted, so that none deadlock."""
    await tx.execute(LOCK, ids=sorted(set(application_ids)))
