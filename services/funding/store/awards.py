"""Owns the stored grants and the instants at which they lapse; it moves no money."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.funding.domain.grants import GrantState, Milestones
from shared.db import Transaction

COLUMNS = """
    CAST(grant_id AS text) AS grant_id, CAST(application_id AS text) AS application_id, call_id, round_id, rank,
    amount_eur, requested_eur, state, awarded_at, answer_by, accepted_at, signed_on, started_on, completed_on,
    released_at, release_why, release_entry, sign_entry, lapses_at
"""
ADD = """
INSERT INTO award (grant_id, application_id, call_id, round_id, rank, amount_eur, requested_eur, state, awarded_at,
                   answer_by, lapses_at)
SELECT a.grant_id, a.application_id, :call_id, :round_id, a.rank, a.amount_eur, a.requested_eur, 'awarded', :at,
    :answer_by, :lapses_at
FROM unnest(CAST(:grants AS uuid[]), CAST(:applications AS uuid[]), CAST(:ranks AS int[]), CAST(:amounts AS bigint[]),
            CAST(:requested AS bigint[])) AS a (grant_id, application_id, rank, amount_eur, requested_eur)
"""
BY_GRANT = f"SELECT {COLUMNS} FROM award WHERE grant_id = ANY(CAST(:ids AS uuid[])) ORDER BY grant_id"  # noqa: S608
BY_APPLICATION = f"""
SELECT {COLUMNS} FROM award WHERE application_id = ANY(CAST(:ids AS uuid[])) ORDER BY grant_id
"""  # noqa: S608 - constants only
OF_CALL = f"""
SELECT {COLUMNS} FROM award
WHERE call_id = :call_id AND grant_id > CAST(:after AS uuid)
    AND (CAST(:application_id AS uuid) IS NULL OR application_id = CAST(:application_id AS uuid))
ORDER BY grant_id LIMIT :limit
"""  # noqa: S608 - constants only
# A grant lapses only once its round was announced: nobody can answer what was not told. Rounds are few, so that each
# is asked for its own first ones.
LAPSING = f"""
SELECT {COLUMNS} FROM (SELECT round_id AS of FROM round WHERE call_id = :call_id AND announced_at IS NOT NULL) AS told
CROSS JOIN LATERAL (
    SELECT * FROM award WHERE round_id = told.of AND lapses_at <= :at ORDER BY lapses_at, grant_id LIMIT :limit) AS due
ORDER BY lapses_at, grant_id LIMIT :limit
"""  # noqa: S608 - constants only
NEXT_LAPSE = """
SELECT first.lapses_at, told.call_id FROM round AS told CROSS JOIN LATERAL (
    SELECT lapses_at FROM award WHERE round_id = told.round_id AND lapses_at IS NOT NULL
    ORDER BY lapses_at, grant_id LIMIT 1) AS first
WHERE told.announced_at IS NOT NULL ORDER BY first.lapses_at LIMIT 1
"""
ACCEPT = """
UPDATE award SET state = 'accepted', accepted_at = :at, lapses_at = :lapses WHERE grant_id = CAST(:id AS uuid)
"""
SIGN = """
UPDATE award SET state = 'committed', signed_on = :day, sign_entry = :entry, lapses_at = :lapses
WHERE grant_id = CAST(:id AS uuid)
"""
START = "UPDATE award SET state = 'started', started_on = :day, lapses_at = NULL WHERE grant_id = CAST(:id AS uuid)"
COMPLETE = "UPDATE award SET state = 'completed', completed_on = :day WHERE grant_id = CAST(:id AS uuid)"
RELEASE = """
UPDATE award SET state = :state, released_at = :at, release_why = :why, release_entry = r.entry, lapses_at = NULL
FROM unnest(CAST(:ids AS uuid[]), CAST(:entries AS bigint[])) AS r (grant_id, entry)
WHERE award.grant_id = r.grant_id
"""


@dataclass(frozen=True, slots=True)
class AwardRow:
    """A grant. Entries are ledger numbers of its call; `lapses_at` is when it is released unless something happens."""

    grant_id: str
    application_id: str
    call_id: str
    round_id: str
    rank: int
    amount_eur: int
    requested_eur: int
    state: GrantState
    awarded_at: datetime
    answer_by: datetime
    accepted_at: datetime | None
    signed_on: date | None
    started_on: date | None
    completed_on: date | None
    released_at: datetime | None
    release_why: str | None
    release_entry: int | None
    sign_entry: int | None
    lapses_at: datetime | None

    @property
    def milestones(self) -> Milestones:
        """What the rules of `domain/grants.py` look at."""
        return Milestones(self.state, self.signed_on, self.started_on, self.completed_on, self.release_why)


@dataclass(frozen=True, slots=True)
class Pick:
    """An application that is awarded a grant now."""

    grant_id: str
    application_id: str
    rank: int
    amount_eur: int
    requested_eur: int


async def add(
    tx: Transaction, call_id: str, round_id: str, picks: Sequence[Pick], at: datetime, answer_by: datetime,
    lapses_at: datetime,
) -> None:  # fmt: skip
    """Keep new grants of one round, as one statement."""
    await tx.execute(
        ADD,
        call_id=call_id,
        round_id=round_id,
        at=at,
        answer_by=answer_by,
        lapses_at=lapses_at,
        grants=[p.grant_id for p in picks],
        applications=[p.application_id for p in picks],
        ranks=[p.rank for p in picks],
        amounts=[p.amount_eur for p in picks],
        requested=[p.requested_eur for p in picks],
    )


async def by_grant(tx: Transaction, grant_ids: Iterable[str]) -> dict[str, AwardRow]:
    """Grants by their id."""
    rows = await tx.fetch_all(BY_GRANT, ids=sorted(set(grant_ids)))
    return {row["grant_id"]: AwardRow(**row) for row in rows}


async def by_application(tx: Transaction, application_ids: Iterable[str]) -> list[AwardRow]:
    """The grants of these applications."""
    rows = await tx.fetch_all(BY_APPLICATION, ids=sorted(set(application_ids)))
    return [AwardRow(**row) for row in rows]


async def of_call(tx: Transaction, call_id: str, application_id: str | None, after: str, limit: int) -> list[AwardRow]:
    """A page of a call's grants, of one application if named, after a grant id."""
    rows = await tx.fetch_all(OF_CALL, call_id=call_id, application_id=application_id, after=after, limit=limit)
    return [AwardRow(**row) for row in rows]


async def next_lapse(tx: Transaction) -> tuple[datetime, str] | None:
    """When the next grant lapses, and of which call."""
    row = await tx.fetch_one(NEXT_LAPSE)
    return (row["lapses_at"], row["call_id"]) if row else None


async def lapsing(tx: Transaction, call_id: str, at: datetime, limit: int) -> list[AwardRow]:
    """A piece of the grants of a call that lapse by then."""
    rows = await tx.fetch_all(LAPSING, call_id=call_id, at=at, limit=limit)
    return [AwardRow(**row) for row in rows]


async def accept(tx: Transaction, grant_id: str, at: datetime, lapses_at: datetime) -> None:
    """Keep the applicant's acceptance and when the grant lapses unsigned."""
    await tx.execute(ACCEPT, id=grant_id, at=at, lapses=lapses_at)


async def sign(tx: Transaction, grant_id: str, day: date, entry: int, lapses_at: datetime) -> None:
    """Keep the convention's day and when the grant lapses unstarted."""
    await tx.execute(SIGN, id=grant_id, day=day, entry=entry, lapses=lapses_at)


async def start(tx: Transaction, grant_id: str, day: date) -> None:
    """Keep the project's first day."""
    await tx.execute(START, id=grant_id, day=day)


async def complete(tx: Transaction, grant_id: str, day: date) -> None:
    """Keep the project's last day."""
    await tx.execute(COMPLETE, id=grant_id, day=day)


async def release(
    tx: Transaction, grants: Sequence[tuple[str, int]], state: GrantState, at: datetime, why: str
) -> None:
    """Keep that grants were released: each id with the number of its counter-entry."""
    await tx.execute(RELEASE, ids=[g for g, _ in grants], entries=[e for _, e in grants], state=state, at=at, why=why)
