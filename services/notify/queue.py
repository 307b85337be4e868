"""Owns the rows of letters and their states; it composes and sends none.

waiting → sending (claimed) → sent | refused_for_now → sending … | refused_for_good | erased. A claim has a lease on the
real clock: while its process lives it renews it, and when it dies another takes the letter, with its Message-ID.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.notify.domain.letters import End
from shared.db import Database, Transaction
from shared.ids import id_named, namespace_of, new_id

MESSAGES = namespace_of("urn:releve:letters")
CHANNEL = "notify_letters"
"""PostgreSQL tells listeners on it, after the commit, that there is something to look at."""

ADD = """
INSERT INTO delivery (delivery_id, event_id, template, message_id, traceparent, application_id, applicant_id, call_id,
                      call_version, round_id, fact_until, caused_at, words)
SELECT delivery_id, event_id, template, message_id, traceparent, application_id, applicant_id, call_id, call_version,
       round_id, fact_until, caused_at, CAST(words AS jsonb)
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:events AS uuid[]), CAST(:templates AS text[]), CAST(:messages AS text[]),
    CAST(:traces AS text[]), CAST(:applications AS uuid[]), CAST(:applicants AS uuid[]), CAST(:calls AS text[]),
    CAST(:versions AS int[]), CAST(:rounds AS text[]), CAST(:untils AS bigint[]), CAST(:times AS timestamptz[]),
    CAST(:words AS text[])
) AS n (delivery_id, event_id, template, message_id, traceparent, application_id, applicant_id, call_id, call_version,
        round_id, fact_until, caused_at, words)
ORDER BY event_id
ON CONFLICT DO NOTHING
"""
LOOK_AGAIN = """
UPDATE delivery SET next_attempt_at = clock_timestamp() WHERE state = 'waiting' AND NOT ready AND
"""
OF_APPLICATIONS = "application_id = ANY(CAST(:ids AS uuid[]))"
OF_CALLS = "call_id = ANY(CAST(:ids AS text[]))"
OF_APPLICANTS = """
(applicant_id = ANY(CAST(:ids AS uuid[])) OR application_id IN (
    SELECT application_id FROM application WHERE applicant_id = ANY(CAST(:ids AS uuid[]))))
"""
FORGET = f"""
UPDATE delivery SET state = 'waiting', ready = false, next_attempt_at = clock_timestamp()
WHERE state IN ('waiting', 'refused_for_now') AND {OF_APPLICANTS}
"""  # noqa: S608 - made of the constants above
NOTIFY = f"SELECT pg_notify('{CHANNEL}', '')"

INCOMPLETE = """
SELECT delivery_id FROM delivery WHERE state = 'waiting' AND NOT ready AND next_attempt_at <= clock_timestamp()
ORDER BY next_attempt_at LIMIT :limit FOR UPDATE SKIP LOCKED
"""
HELD = """
SELECT CAST(d.delivery_id AS text) AS delivery_id, d.template,
    a.application_id IS NOT NULL AS application,
    c.email IS NOT NULL AS contact,
    c.applicant_id IS NOT NULL AND c.email IS NULL AS erased,
    EXISTS (SELECT FROM call k WHERE k.call_id = d.call_id AND k.version >= d.call_version) AS call,
    EXISTS (SELECT FROM fact f WHERE f.application_id = d.application_id AND f.kind = 'scored') AS score,
    EXISTS (SELECT FROM fact f WHERE f.application_id = d.application_id AND f.kind = d.template
            AND (d.fact_until IS NULL OR f.sequence <= d.fact_until)) AS outcome
FROM delivery d
LEFT JOIN application a ON a.application_id = d.application_id
LEFT JOIN contact c ON c.applicant_id = COALESCE(a.applicant_id, d.applicant_id)
WHERE d.delivery_id = ANY(CAST(:ids AS uuid[]))
"""
# One that still waits is looked at again when it is five times as old, within bounds: whatever it waits for has it
# looked at, but for a fact whose transaction was under way while the letter's was.
JUDGED = """
UPDATE delivery d SET waits_for = CAST(n.waits_for AS text[]), ready = CAST(n.waits_for AS text[]) = '{}',
    next_attempt_at = clock_timestamp() + CASE WHEN CAST(n.waits_for AS text[]) = '{}' THEN interval '0' ELSE
        LEAST(interval '30 s', GREATEST(interval '500 ms', 4 * (clock_timestamp() - d.created_at))) END
FROM unnest(CAST(:ids AS uuid[]), CAST(:waits AS text[])) AS n (delivery_id, waits_for)
WHERE d.delivery_id = n.delivery_id
"""
CLAIM = """
UPDATE delivery d SET state = 'sending', claim = CAST(:claim AS uuid), attempts = attempts + 1,
    claimed_until = clock_timestamp() + make_interval(secs => :lease_s)
WHERE d.delivery_id IN (
    SELECT delivery_id FROM delivery
    WHERE state IN ('waiting', 'refused_for_now') AND ready AND next_attempt_at <= clock_timestamp()
    ORDER BY next_attempt_at LIMIT :limit FOR UPDATE SKIP LOCKED)
RETURNING CAST(delivery_id AS text) AS delivery_id
"""
FREE_DEAD_CLAIMS = """
UPDATE delivery SET state = 'waiting', claim = NULL, claimed_until = NULL, next_attempt_at = clock_timestamp()
WHERE delivery_id IN (
    SELECT delivery_id FROM delivery WHERE state = 'sending' AND claimed_until < clock_timestamp()
    FOR UPDATE SKIP LOCKED)
"""
RENEW = """
UPDATE delivery SET claimed_until = clock_timestamp() + make_interval(secs => :lease_s)
WHERE state = 'sending' AND claim = ANY(CAST(:claims AS uuid[]))
"""
END = """
UPDATE delivery SET state = :state, reason = :reason, language = COALESCE(:language, language), ended_at = :now,
    claim = NULL, claimed_until = NULL, waits_for = '{}', ready = true,
    words = CASE WHEN application_id IS NULL OR :state = 'erased' THEN '{}' ELSE words END
WHERE delivery_id = CAST(:id AS uuid)
    AND (claim = CAST(:claim AS uuid) OR (CAST(:claim AS uuid) IS NULL AND state IN ('waiting', 'refused_for_now')))
RETURNING CAST(delivery_id AS text) AS delivery_id, template, message_id, attempts, traceparent, call_id, call_version,
    round_id, language, CAST(event_id AS text) AS event_id, CAST(application_id AS text) AS application_id
"""
POSTPONE = """
UPDATE delivery SET state = :state, reason = :reason, claim = NULL, claimed_until = NULL,
    attempts = attempts - :uncounted,
    refused_since = CASE WHEN :state = 'refused_for_now' THEN COALESCE(refused_since, clock_timestamp()) END,
    next_attempt_at = clock_timestamp() + make_interval(secs => :pause_s)
WHERE delivery_id = CAST(:id AS uuid) AND claim = CAST(:claim AS uuid)
"""
UNSENT = "SELECT count(*) FROM delivery WHERE state IN ('waiting', 'sending', 'refused_for_now')"
BY_STATE = """
SELECT CASE WHEN state = 'waiting' AND NOT ready THEN 'incomplete' ELSE state END AS state, count(*) AS letters,
    max(extract(epoch FROM clock_timestamp() - created_at)) AS oldest_s
FROM delivery WHERE state IN ('waiting', 'sending', 'refused_for_now') GROUP BY 1
"""


@dataclass(frozen=True)
class Due:
    """A letter that became due: its cause and whom it is about. `words` is what only the causing event says."""

    event_id: str
    template: str
    traceparent: str
    caused_at: datetime
    application_id: str | None = None
    applicant_id: str | None = None
    call_id: str | None = None
    call_version: int | None = None
    round_id: str | None = None
    fact_until: int | None = None
    words: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """A waiting letter and which of its facts are there."""

    delivery_id: str
    template: str
    facts: frozenset[str]
    erased: bool


def message_id(event_id: str, template: str) -> str:
    """The Message-ID of a letter: the same for the same event and template, whoever writes it and however often."""
    return f"<{id_named(MESSAGES, event_id, template)}@letters.releve>"


async def add(tx: Transaction, dues: Sequence[Due]) -> None:
    """Make letters due, each once per event and template; the mailer is woken after the commit."""
    if not dues:
        return
    await tx.execute(
        ADD,
        ids=[new_id() for _ in dues],
        events=[due.event_id for due in dues],
        templates=[due.template for due in dues],
        messages=[message_id(due.event_id, due.template) for due in dues],
        traces=[due.traceparent for due in dues],
        applications=[due.application_id for due in dues],
        applicants=[due.applicant_id for due in dues],
        calls=[due.call_id for due in dues],
        versions=[due.call_version for due in dues],
        rounds=[due.round_id for due in dues],
        untils=[due.fact_until for due in dues],
        times=[due.caused_at for due in dues],
        words=[json.dumps(due.words) for due in dues],
    )
    await tx.execute(NOTIFY)


async def look_again(
    tx: Transaction,
    *,
    application_ids: Collection[str] = (),
    applicant_ids: Collection[str] = (),
    call_ids: Collection[str] = (),
) -> None:
    """A fact came: letters that wait for facts of these are looked at without delay."""
    wanted = ((OF_APPLICATIONS, application_ids), (OF_APPLICANTS, applicant_ids), (OF_CALLS, call_ids))
    woken = [await tx.execute(LOOK_AGAIN + whose, ids=sorted(set(ids))) for whose, ids in wanted if ids]
    if any(woken):
        await tx.execute(NOTIFY)


async def forget(tx: Transaction, applicant_ids: Collection[str]) -> None:
    """The letters still due to erased applicants are to be ended."""
    if await tx.execute(FORGET, ids=sorted(applicant_ids)):
        await tx.execute(NOTIFY)


async def incomplete(tx: Transaction, limit: int) -> list[Held]:
    """Letters that waited for facts and are due for a look, locked, with the facts that are there now."""
    rows = await tx.fetch_all(INCOMPLETE, limit=limit)
    if not rows:
        return []
    held = await tx.fetch_all(HELD, ids=[str(row["delivery_id"]) for row in rows])
    names = ("application", "contact", "call", "score", "outcome")
    return [
        Held(row["delivery_id"], row["template"], frozenset(name for name in names if row[name]), row["erased"])
        for row in held
    ]


async def judged(tx: Transaction, waits_for: dict[str, list[str]]) -> None:
    """Note what letters still wait for; those that wait for nothing may be sent."""
    arrays = ["{" + ",".join(names) + "}" for names in waits_for.values()]
    await tx.execute(JUDGED, ids=list(waits_for), waits=arrays)


async def claim(tx: Transaction, claim_id: str, limit: int, lease_s: float) -> list[str]:
    """Take letters that are due, for the lease; their ids. Other processes pass over them."""
    rows = await tx.fetch_all(CLAIM, claim=claim_id, limit=limit, lease_s=lease_s)
    return [row["delivery_id"] for row in rows]


async def free_dead_claims(tx: Transaction) -> None:
    """Letters whose process is gone are waiting again."""
    await tx.execute(FREE_DEAD_CLAIMS)


async def renew(tx: Transaction, claim_ids: Collection[str], lease_s: float) -> None:
    """Keep claims for another lease."""
    await tx.execute(RENEW, claims=sorted(claim_ids), lease_s=lease_s)


async def end(
    tx: Transaction,
    delivery_id: str,
    state: End,
    now: datetime,
    *,
    claim_id: str | None = None,
    reason: str | None = None,
    language: str | None = None,
) -> dict[str, Any] | None:
    """End a letter that this claim holds (or that nobody has claimed); its row, or None if another has it by now."""
    row = await tx.fetch_one(
        END, id=delivery_id, state=state, now=now, claim=claim_id, reason=reason, language=language
    )  # fmt: skip
    return dict(row) if row is not None else None


async def postpone(
    tx: Transaction,
    delivery_id: str,
    claim_id: str,
    pause_s: float,
    *,
    reason: str,
    refused: bool = False,
    counted: bool = True,
) -> None:
    """Give a claimed letter back until after a pause. `counted` False: the server never heard of this attempt."""
    await tx.execute(
        POSTPONE,
        id=delivery_id,
        claim=claim_id,
        pause_s=pause_s,
        reason=reason,
        state="refused_for_now" if refused else "waiting",
        uncounted=0 if counted else 1,
    )


async def letters_unsent(db: Database) -> int:
    """How many letters are due and have not ended: what a replay waits for."""
    async with db.transaction() as tx:
        return int(await tx.fetch_value(UNSENT))


async def unsent_by_state(tx: Transaction) -> dict[str, tuple[int, float]]:
    """Letters that have not ended by state, `incomplete` ones apart, and the age of the oldest in seconds."""
    rows = await tx.fetch_all(BY_STATE)
    return {row["state"]: (row["letters"], float(row["oldest_s"])) for row in rows}
