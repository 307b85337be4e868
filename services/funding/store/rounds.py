"""Owns the stored rounds: their dates, what closed, what was received of it, and how far their decision is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.funding.domain.readiness import RoundCount, RoundOrder
from shared.db import Transaction

COLUMNS = """
    r.round_id, r.call_id, r.closes_at, r.announce_at, r.list_ends_at, r.closed_count, r.closed_sha256, r.received,
    r.open_members, r.members_match, r.inputs_version, r.ready, CAST(r.current_proposal AS text) AS current_proposal,
    r.decided_at, r.announced_at, c.version AS call_version, r.closed_call_version, c.allocation
"""
LOAD = f"""
SELECT {COLUMNS} FROM round r JOIN call c USING (call_id)
WHERE r.round_id = ANY(CAST(:ids AS text[])) ORDER BY r.closes_at, r.round_id
"""  # noqa: S608 - constants only
OF_CALL = f"""
SELECT {COLUMNS} FROM round r JOIN call c USING (call_id)
WHERE r.call_id = :call_id AND r.closes_at IS NOT NULL ORDER BY r.closes_at, r.round_id
"""  # noqa: S608 - constants only
MENTION = """
INSERT INTO round (round_id, call_id)
SELECT DISTINCT * FROM unnest(CAST(:ids AS text[]), CAST(:call_ids AS text[])) AS r (round_id, call_id)
ORDER BY round_id ON CONFLICT DO NOTHING
"""
# Only while none has opened may a new version leave one out; what facts told of a version to come stays.
DROP = """
DELETE FROM round
WHERE call_id = :call_id AND NOT round_id = ANY(CAST(:ids AS text[])) AND inputs_version = 0 AND closed_at IS NULL
"""
KNOWN = "SELECT round_id, call_id FROM round WHERE round_id = ANY(CAST(:ids AS text[]))"
DATES = """
UPDATE round SET opens_at = d.opens_at, closes_at = d.closes_at, announce_at = d.announce_at,
    list_ends_at = d.list_ends_at,
    announce_due_at = CASE WHEN announced_at IS NOT NULL THEN announce_due_at
                           WHEN :rolling THEN d.opens_at
                           WHEN decided_at IS NOT NULL THEN GREATEST(d.announce_at, decided_at) END
FROM unnest(CAST(:ids AS text[]), CAST(:opens AS timestamptz[]), CAST(:closes AS timestamptz[]),
            CAST(:announces AS timestamptz[]), CAST(:list_ends AS timestamptz[]))
    AS d (round_id, opens_at, closes_at, announce_at, list_ends_at)
WHERE round.round_id = d.round_id
"""
CLOSE = """
UPDATE round SET closed_at = :closed_at, closed_call_version = :call_version, closed_count = :count,
    closed_sha256 = :sha256
WHERE round_id = :round_id AND closed_at IS NULL
"""
SETTLE = """
UPDATE round SET ready = :ready, members_match = :members_match WHERE round_id = :round_id
"""
MEMBERS_SHA256 = """
SELECT encode(sha256(convert_to(COALESCE(string_agg(CAST(application_id AS text), E'\\n' ORDER BY application_id), ''),
                                'UTF8')), 'hex')
FROM application WHERE round_id = :round_id AND submitted_at IS NOT NULL
"""
DECIDED = """
UPDATE round SET decided_at = :at, announce_due_at = GREATEST(announce_at, :at) WHERE round_id = :round_id
"""
NEXT_TO_ANNOUNCE = """
SELECT announce_due_at, round_id, call_id FROM round WHERE announced_at IS NULL AND announce_due_at IS NOT NULL
ORDER BY announce_due_at, round_id LIMIT 1
"""
ANNOUNCE = """
UPDATE round SET announced_at = :at WHERE round_id = :round_id AND announced_at IS NULL AND announce_due_at <= :at
"""

NEXT_LIST_TO_END = """
SELECT list_ends_at, round_id FROM round WHERE list_ends_at IS NOT NULL AND EXISTS (
    SELECT FROM application a WHERE a.round_id = round.round_id AND outcome = 'waitlisted' AND withdrawn_at IS NULL)
ORDER BY list_ends_at, round_id LIMIT 1
"""
SOMEBODY_WAITS = """
SELECT EXISTS (
    SELECT FROM round r JOIN application a USING (round_id) WHERE r.call_id = :call_id AND r.list_ends_at > :at
        AND a.outcome = 'waitlisted' AND a.withdrawn_at IS NULL)
"""


@dataclass(frozen=True, slots=True)
class RoundDates:
    """A round of a call file; `list_ends_at` with its default filled in."""

    round_id: str
    opens_at: datetime
    closes_at: datetime
    announce_at: datetime
    list_ends_at: datetime


@dataclass(frozen=True, slots=True)
class RoundRow:
    """A round with what its call says of it. Dates are None until the call file was received."""

    round_id: str
    call_id: str
    closes_at: datetime | None
    announce_at: datetime | None
    list_ends_at: datetime | None
    closed_count: int | None
    closed_sha256: str | None
    received: int
    open_members: int
    members_match: bool | None
    inputs_version: int
    ready: bool
    current_proposal: str | None
    decided_at: datetime | None
    announced_at: datetime | None
    call_version: int | None
    closed_call_version: int | None
    allocation: str | None

    @property
    def sealed(self) -> bool:
        """Whether what is decided of its members may not be told yet."""
        return self.announced_at is None

    @property
    def count(self) -> RoundCount:
        """What its readiness depends on. A call file that does not have this round yet counts as not received."""
        return RoundCount(
            self.received, self.open_members, self.closed_count, self.members_match,
            self.call_version if self.closes_at else None, self.closed_call_version,
        )  # fmt: skip

    @property
    def order(self) -> RoundOrder:
        """Its place among the rounds of the call, whose file was received."""
        if self.closes_at is None:
            raise RoundUndated(self.round_id)
        return RoundOrder(self.round_id, self.closes_at, self.decided_at is not None)


async def mention(tx: Transaction, rounds: Iterable[tuple[str, str]]) -> None:
    """Make rows for rounds (`round_id`, `call_id`) that were only heard of. Raises RoundOfAnotherCall."""
    wanted = dict(sorted(set(rounds)))
    known = {row["round_id"]: row["call_id"] for row in await tx.fetch_all(KNOWN, ids=list(wanted))}
    for round_id, call_id in known.items():
        if wanted[round_id] != call_id:
            raise RoundOfAnotherCall(round_id, call_id, wanted[round_id])
    missing = {round_id: call_id for round_id, call_id in wanted.items() if round_id not in known}
    if missing:
        await tx.execute(MENTION, ids=list(missing), call_ids=list(missing.values()))


async def drop_others(tx: Transaction, call_id: str, round_ids: Iterable[str]) -> None:
    """Drop the rounds that a call's file no longer has: later ones would wait for their decision for ever."""
    await tx.execute(DROP, call_id=call_id, ids=list(round_ids))


async def set_dates(tx: Transaction, dates: Sequence[RoundDates], *, rolling: bool) -> None:
    """Keep the dates of a call file. Rolling rounds are announced at their opening (`docs/design.md` §7, Tell)."""
    await tx.execute(
        DATES,
        rolling=rolling,
        ids=[d.round_id for d in dates],
        opens=[d.opens_at for d in dates],
        closes=[d.closes_at for d in dates],
        announces=[d.announce_at for d in dates],
        list_ends=[d.list_ends_at for d in dates],
    )


async def next_list_to_end(tx: Transaction) -> tuple[datetime, str] | None:
    """When the next waiting list ends on which somebody waits, and its round."""
    row = await tx.fetch_one(NEXT_LIST_TO_END)
    return (row["list_ends_at"], row["round_id"]) if row else None


async def somebody_waits(tx: Transaction, call_id: str, at: datetime) -> bool:
    """Whether somebody waits on a list of the call that has not ended."""
    return bool(await tx.fetch_value(SOMEBODY_WAITS, call_id=call_id, at=at))


async def close(
    tx: Transaction, round_id: str, closed_at: datetime, call_version: int, count: int, sha256: str
) -> None:
    """Keep what intake counted when it closed the round."""
    await tx.execute(
        CLOSE, round_id=round_id, closed_at=closed_at, call_version=call_version, count=count, sha256=sha256
    )


async def load(tx: Transaction, round_ids: Iterable[str]) -> list[RoundRow]:
    """Rounds by id, in the order in which they close."""
    return [RoundRow(**row) for row in await tx.fetch_all(LOAD, ids=sorted(set(round_ids)))]


async def load_one(tx: Transaction, round_id: str) -> RoundRow | None:
    """One round, or None."""
    rows = await load(tx, [round_id])
    return rows[0] if rows else None


async def of_call(tx: Transaction, call_id: str) -> list[RoundRow]:
    """The rounds of a call's file, in the order in which they close."""
    return [RoundRow(**row) for row in await tx.fetch_all(OF_CALL, call_id=call_id)]


async def members_match(tx: Transaction, row: RoundRow) -> bool:
    """Whether the applications received are those that intake counted: the hash over their sorted ids."""
    return bool(await tx.fetch_value(MEMBERS_SHA256, round_id=row.round_id) == row.closed_sha256)


async def settle(tx: Transaction, round_id: str, *, ready: bool, members_match: bool | None) -> None:
    """Keep whether a round is ready."""
    await tx.execute(SETTLE, round_id=round_id, ready=ready, members_match=members_match)


async def next_to_announce(tx: Transaction) -> tuple[datetime, str, str] | None:
    """When the next announcement is due, of which round and call."""
    row = await tx.fetch_one(NEXT_TO_ANNOUNCE)
    return (row["announce_due_at"], row["round_id"], row["call_id"]) if row else None


async def announce(tx: Transaction, round_id: str, at: datetime) -> bool:
    """Mark a round as announced; False if it is not due or was announced."""
    return await tx.execute(ANNOUNCE, round_id=round_id, at=at) == 1


async def next_rank(tx: Transaction, round_id: str) -> int:
    """The rank of the next application that a rolling round decides."""
    rank: int = await tx.fetch_value(
        "UPDATE round SET last_rank = last_rank + 1 WHERE round_id = :id RETURNING last_rank", id=round_id
    )
    return rank


async def decided(tx: Transaction, round_id: str, at: datetime) -> None:
    """Mark a round as decided; it is announced at `announce_at`, or now if that has passed."""
    await tx.execute(DECIDED, round_id=round_id, at=at)


class RoundOfAnotherCall(Exception):
    """Two calls name the same round; data: the round and both calls."""

    def __init__(self, round_id: str, call_id: str, other_id: str) -> None:
        super().__init__(f"the round {round_id} belongs to {call_id}, not to {other_id}")
        self.round_id, self.call_id, self.other_id = round_id, call_id, other_id


class RoundUndated(Exception):
    """A round whose call file was not received cannot be put in order; data: its id."""

    def __init__(self, round_id: str) -> None:
        super().__init__(f"the dates of the round {round_id} are not known")
        self.round_id = round_id
