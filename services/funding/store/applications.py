"""Owns the stored applications: facts received about each, in whatever order they came, and the outcome decided of it.

Each write is one statement for a whole batch: it takes the facts in and moves the counters of their rounds by the
difference that they made. The caller holds the calls' locks, so nobody else counts at the same time.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from sys import intern

from services.funding.domain.ranking import Member
from shared.db import Transaction
from shared.events.intake import ApplicationSubmitted

# `before` and `after` see the same rows because every statement of the batch has one snapshot.
COUNT = """
), difference AS (
    SELECT after.round_id, count(*) AS changes,
        sum(CAST(after.submitted_at IS NOT NULL AND before.submitted_at IS NULL AS int)) AS received,
        sum(CAST(after.open AS int) - CAST(COALESCE(before.open, false) AS int)) AS opened
    FROM after LEFT JOIN before USING (application_id) WHERE after.round_id IS NOT NULL GROUP BY after.round_id
)
UPDATE round r SET received = r.received + d.received, open_members = r.open_members + d.opened,
    inputs_version = r.inputs_version + d.changes
FROM difference d WHERE r.round_id = d.round_id
RETURNING r.round_id, r.call_id, r.closed_count, r.received, r.open_members, r.ready, r.decided_at
"""
BEFORE = """
), before AS (
    SELECT a.application_id, a.submitted_at, a.open FROM application a JOIN incoming USING (application_id)
), after AS (
"""
RETURNING = " RETURNING application_id, round_id, submitted_at, open"

SUBMIT = f"""
WITH incoming AS (
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:call_ids AS text[]), CAST(:round_ids AS text[]), CAST(:references AS text[]),
        CAST(:titles AS text[]), CAST(:organisations AS text[]), CAST(:requested AS bigint[]),
        CAST(:submitted AS timestamptz[]))
    AS i (application_id, call_id, round_id, reference, title, organisation, requested_eur, submitted_at)
{BEFORE}
    INSERT INTO application (application_id, call_id, round_id, reference, title, organisation, requested_eur,
                             submitted_at)
    SELECT * FROM incoming ORDER BY application_id
    ON CONFLICT (application_id) DO UPDATE SET call_id = excluded.call_id, round_id = excluded.round_id,
        reference = excluded.reference, title = excluded.title, organisation = excluded.organisation,
        requested_eur = excluded.requested_eur, submitted_at = excluded.submitted_at
    WHERE application.submitted_at IS NULL
    {RETURNING}
{COUNT}
"""  # noqa: S608 - constants only
WITHDRAW = f"""
WITH incoming AS (
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:call_ids AS text[]), CAST(:round_ids AS text[]),
                         CAST(:withdrawn AS timestamptz[])) AS i (application_id, call_id, round_id, withdrawn_at)
{BEFORE}
    INSERT INTO application (application_id, call_id, round_id, withdrawn_at)
    SELECT * FROM incoming ORDER BY application_id
    ON CONFLICT (application_id) DO UPDATE SET withdrawn_at = excluded.withdrawn_at
    WHERE application.withdrawn_at IS NULL
    {RETURNING}
{COUNT}
"""  # noqa: S608 - constants only
REFUSE = f"""
WITH incoming AS (
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:call_ids AS text[]), CAST(:round_ids AS text[]),
                         CAST(:sequences AS bigint[]), CAST(:refused AS timestamptz[]))
    AS i (application_id, call_id, round_id, review_sequence, inadmissible_at)
{BEFORE}
    INSERT INTO application (application_id, call_id, round_id, review_sequence, inadmissible_at)
    SELECT * FROM incoming ORDER BY application_id
    ON CONFLICT (application_id) DO UPDATE SET inadmissible_at = excluded.inadmissible_at,
        review_sequence = GREATEST(application.review_sequence, excluded.review_sequence)
    WHERE application.inadmissible_at IS NULL
    {RETURNING}
{COUNT}
"""  # noqa: S608 - constants only
SCORE = f"""
WITH incoming AS (
    SELECT application_id, call_id, round_id, review_sequence, score, CAST(means AS jsonb) AS means, recommended_eur
    FROM unnest(CAST(:ids AS uuid[]), CAST(:call_ids AS text[]), CAST(:round_ids AS text[]),
                CAST(:sequences AS bigint[]), CAST(:scores AS numeric[]), CAST(:means AS text[]),
                CAST(:recommended AS bigint[]))
    AS i (application_id, call_id, round_id, review_sequence, score, means, recommended_eur)
{BEFORE}
    INSERT INTO application (application_id, call_id, round_id, review_sequence, score, means, recommended_eur)
    SELECT * FROM incoming ORDER BY application_id
    ON CONFLICT (application_id) DO UPDATE SET review_sequence = excluded.review_sequence, score = excluded.score,
        means = excluded.means, recommended_eur = excluded.recommended_eur
    WHERE application.review_sequence < excluded.review_sequence
    {RETURNING}
{COUNT}
"""  # noqa: S608 - constants only
MEMBERS = """
SELECT CAST(application_id AS text) AS application_id, submitted_at, score, CAST(means AS text) AS means,
    requested_eur, recommended_eur
FROM application
WHERE round_id = :round_id AND submitted_at IS NOT NULL AND withdrawn_at IS NULL AND inadmissible_at IS NULL
    AND score IS NOT NULL
ORDER BY application_id
"""
UNDECIDED = """
SELECT CAST(application_id AS text) AS application_id, round_id, score, requested_eur, recommended_eur
FROM application
WHERE round_id IN (SELECT round_id FROM round WHERE call_id = :call_id)
    AND (CAST(:ids AS uuid[]) IS NULL OR application_id = ANY(CAST(:ids AS uuid[])))
    AND submitted_at IS NOT NULL AND withdrawn_at IS NULL AND inadmissible_at IS NULL AND score IS NOT NULL
    AND outcome IS NULL
ORDER BY array_position(CAST(:ids AS uuid[]), application_id), submitted_at, application_id
"""
DECIDE = """
UPDATE application a SET outcome = l.outcome, reason = l.reason, rank = l.rank, claim_eur = l.claim_eur
FROM proposal_line l WHERE l.proposal_id = CAST(:proposal_id AS uuid) AND a.application_id = l.application_id
"""
SET_OUTCOMES = """
UPDATE application a SET outcome = o.outcome, reason = o.reason, rank = COALESCE(o.rank, a.rank),
    claim_eur = COALESCE(a.claim_eur, o.claim_eur)
FROM unnest(CAST(:ids AS uuid[]), CAST(:outcomes AS text[]), CAST(:reasons AS text[]), CAST(:ranks AS int[]),
            CAST(:claims AS bigint[])) AS o (application_id, outcome, reason, rank, claim_eur)
WHERE a.application_id = o.application_id
"""
TELL_ROUND = """
UPDATE application SET told_at = :at
WHERE round_id = :round_id AND submitted_at IS NOT NULL AND withdrawn_at IS NULL AND told_at IS NULL
    AND (outcome IS NOT NULL OR inadmissible_at IS NOT NULL)
RETURNING CAST(application_id AS text) AS application_id, round_id, COALESCE(outcome, 'inadmissible') AS outcome
"""
TELL_REFUSED = """
UPDATE application SET told_at = :at
WHERE round_id IN (SELECT round_id FROM round WHERE call_id = :call_id) AND inadmissible_at IS NOT NULL
    AND withdrawn_at IS NULL AND told_at IS NULL AND outcome IS NULL
    AND (CAST(:ids AS uuid[]) IS NULL OR application_id = ANY(CAST(:ids AS uuid[])))
RETURNING CAST(application_id AS text) AS application_id, round_id, 'inadmissible' AS outcome
"""
WAITING = """
SELECT CAST(application_id AS text) AS application_id, rank, claim_eur, requested_eur FROM application
WHERE round_id = :round_id AND outcome = 'waitlisted' AND withdrawn_at IS NULL AND rank > :after
    AND (CAST(:at_most AS bigint) IS NULL OR claim_eur <= :at_most)
ORDER BY rank LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Touched:
    """A round after a batch of facts: what decides whether anything follows from them."""

    round_id: str
    call_id: str
    closed_count: int | None
    received: int
    open_members: int
    ready: bool
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Named:
    """An application as an event names it before anything else may be known of it."""

    application_id: str
    call_id: str
    round_id: str | None


@dataclass(frozen=True, slots=True)
class Review:
    """What review said last of an application; a voided score is None."""

    named: Named
    sequence: int
    score: Decimal | None
    means: dict[str, Decimal] | None
    recommended_eur: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An application on the waiting list."""

    application_id: str
    rank: int
    claim_eur: int
    requested_eur: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored application without an outcome."""

    application_id: str
    round_id: str
    score: Decimal
    requested_eur: int
    recommended_eur: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """An application whose outcome is told now."""

    application_id: str
    round_id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided of one application; a rank of None keeps the one it has."""

    application_id: str
    outcome: str
    reason: str | None = None
    rank: int | None = None
    claim_eur: int | None = None


async def take_in_submissions(tx: Transaction, events: Sequence[ApplicationSubmitted]) -> list[Touched]:
    """Keep submissions, each application once."""
    rows = await tx.fetch_all(
        SUBMIT,
        ids=[e.application_id for e in events],
        call_ids=[e.call_id for e in events],
        round_ids=[e.round_id for e in events],
        references=[e.reference for e in events],
        titles=[e.project.title for e in events],
        organisations=[e.organisation.name for e in events],
        requested=[e.project.requested_eur for e in events],
        submitted=[e.submitted_at for e in events],
    )
    return [Touched(**row) for row in rows]


async def take_in_withdrawals(tx: Transaction, withdrawn: Sequence[tuple[Named, datetime]]) -> list[Touched]:
    """Keep withdrawals, the first of each application; they need not be submitted here yet."""
    rows = await tx.fetch_all(WITHDRAW, **_named([n for n, _ in withdrawn]), withdrawn=[at for _, at in withdrawn])
    return [Touched(**row) for row in rows]


async def take_in_refusals(tx: Transaction, refused: Sequence[tuple[Named, int, datetime]]) -> list[Touched]:
    """Keep inadmissible applications with the `ce_sequence` and time of the fact."""
    rows = await tx.fetch_all(
        REFUSE, **_named([n for n, _, _ in refused]), sequences=[s for _, s, _ in refused],
        refused=[at for _, _, at in refused],
    )  # fmt: skip
    return [Touched(**row) for row in rows]


async def take_in_reviews(tx: Transaction, reviews: Sequence[Review]) -> list[Touched]:
    """Keep scores and voids; what carries a lower `ce_sequence` than what is held changes nothing."""
    rows = await tx.fetch_all(
        SCORE,
        **_named([r.named for r in reviews]),
        sequences=[r.sequence for r in reviews],
        scores=[r.score for r in reviews],
        means=[None if r.means is None else json.dumps({c: str(m) for c, m in r.means.items()}) for r in reviews],
        recommended=[r.recommended_eur for r in reviews],
    )
    return [Touched(**row) for row in rows]


def _named(named: Sequence[Named]) -> dict[str, list[str | None]]:
    return {
        "ids": [n.application_id for n in named],
        "call_ids": [n.call_id for n in named],
        "round_ids": [n.round_id for n in named],
    }


# Means are few different numbers, and their names fewer: a large round holds each once.
_mean = lru_cache(maxsize=10_000)(Decimal)


def _means(text: str) -> dict[str, Decimal]:
    return {intern(criterion): _mean(mean) for criterion, mean in json.loads(text).items()}


async def members(tx: Transaction, round_id: str) -> list[Member]:
    """A round's applications that can be ranked: submitted, scored, neither withdrawn nor inadmissible."""
    return [
        Member(
            row["application_id"], row["submitted_at"], row["score"], _means(row["means"]), row["requested_eur"],
            row["recommended_eur"],
        )
        for row in await tx.fetch_all(MEMBERS, round_id=round_id)
    ]  # fmt: skip


async def undecided(tx: Transaction, call_id: str, application_ids: Sequence[str] | None) -> list[Candidate]:
    """Those of these applications, in their order (None: all of the call), that could be decided now."""
    ids = None if application_ids is None else list(application_ids)
    rows = await tx.fetch_all(UNDECIDED, call_id=call_id, ids=ids)
    return [Candidate(**row) for row in rows]


async def decide(tx: Transaction, proposal_id: str) -> None:
    """Give every application of a confirmed proposal its outcome, as one statement."""
    await tx.execute(DECIDE, proposal_id=proposal_id)


async def set_outcomes(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    """Give single applications their outcome."""
    await tx.execute(
        SET_OUTCOMES,
        ids=[o.application_id for o in outcomes],
        outcomes=[o.outcome for o in outcomes],
        reasons=[o.reason for o in outcomes],
        ranks=[o.rank for o in outcomes],
        claims=[o.claim_eur for o in outcomes],
    )


async def tell_round(tx: Transaction, round_id: str, at: datetime) -> list[Told]:
    """Mark as told every member of a round that is not held as withdrawn; their outcomes."""
    return [Told(**row) for row in await tx.fetch_all(TELL_ROUND, round_id=round_id, at=at)]


async def tell_refused(
    tx: Transaction, call_id: str, application_ids: Sequence[str] | None, at: datetime
) -> list[Told]:
    """Mark as told the inadmissible ones among these applications (None: all of the call), each once."""
    ids = None if application_ids is None else list(application_ids)
    return [Told(**row) for row in await tx.fetch_all(TELL_REFUSED, call_id=call_id, ids=ids, at=at)]


async def waiting(tx: Transaction, round_id: str, after: int, at_most_eur: int | None, limit: int) -> list[Waiting]:
    """A piece of a round's waiting list in rank order, after a rank, claims up to an amount only if one is given."""
    rows = await tx.fetch_all(WAITING, round_id=round_id, after=after, at_most=at_most_eur, limit=limit)
    return [Waiting(**row) for row in rows]
