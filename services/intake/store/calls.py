"""Owns the rows of calls, their versions and their rounds; it decides nothing."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from shared.db import Row, Transaction
from shared.events.call import Call

PAGE = 50

Versions = Mapping[int, Row]
"""Rows of `held_versions` by version."""

# Locks are per call, so that two first publications of one call wait for each other too.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('call ' || :call_id, 0))"

HELD = """
SELECT v.version, c.version AS current, v.document, v.published_at
FROM call_version v JOIN call c USING (call_id)
WHERE v.call_id = :call_id AND v.version IN (c.version, :version)
"""

TAKEN = """
SELECT 'reference_prefix' AS field, call_id FROM call WHERE reference_prefix = :prefix AND call_id <> :call_id
UNION ALL
SELECT 'rounds', call_id FROM round WHERE round_id = ANY(CAST(:rounds AS text[])) AND call_id <> :call_id
"""

NEW_CALL = """
WITH made AS (
    INSERT INTO call (call_id, version, reference_prefix) VALUES (:call_id, :version, :prefix)
    ON CONFLICT (call_id) DO NOTHING
)
INSERT INTO laureate_total (call_id) VALUES (:call_id) ON CONFLICT (call_id) DO NOTHING
"""

SAVE_CALL = "UPDATE call SET version = :version, reference_prefix = :prefix WHERE call_id = :call_id"

SAVE_VERSION = """
INSERT INTO call_version (call_id, version, document, published_at)
VALUES (:call_id, :version, CAST(:document AS jsonb), :published_at)
"""

SAVE_ROUNDS = """
INSERT INTO round (round_id, call_id, opens_at, closes_at, takes_until, announce_at)
SELECT r.round_id, :call_id, r.opens_at, r.closes_at, r.takes_until, r.announce_at
FROM unnest(CAST(:ids AS text[]), CAST(:opens AS timestamptz[]), CAST(:closes AS timestamptz[]),
            CAST(:takes AS timestamptz[]), CAST(:announces AS timestamptz[]))
     AS r (round_id, opens_at, closes_at, takes_until, announce_at)
ORDER BY r.round_id
ON CONFLICT (round_id) DO UPDATE SET opens_at = excluded.opens_at, closes_at = excluded.closes_at,
    takes_until = excluded.takes_until, announce_at = excluded.announce_at
"""

# A round can only go while none has opened, so that no application is in it.
DROP_ROUNDS = "DELETE FROM round WHERE call_id = :call_id AND NOT round_id = ANY(CAST(:ids AS text[]))"

LIST = """
SELECT c.call_id, v.document FROM call c JOIN call_version v USING (call_id, version)
WHERE c.call_id > :after ORDER BY c.call_id LIMIT :page
"""

ONE = """
SELECT v.document, v.published_at, t.laureates, t.amount_eur
FROM call c JOIN call_version v USING (call_id, version) JOIN laureate_total t USING (call_id)
WHERE c.call_id = :call_id
"""

ROUNDS = """
SELECT call_id, round_id, opens_at, closes_at, takes_until, announce_at, closed_at, announced_at
FROM round LEFT JOIN announcement USING (round_id) WHERE call_id = ANY(CAST(:call_ids AS text[])) ORDER BY opens_at
"""

DOCUMENT = "SELECT document FROM call_version WHERE call_id = :call_id AND version = :version"

LAUREATES = """
SELECT l.number, l.amount_eur, a.application_id::text AS application_id, a.reference, a.round_id,
       a.organisation ->> 'name' AS organisation, a.organisation -> 'partner' ->> 'name' AS partner,
       a.organisation ->> 'region' AS region, a.project ->> 'title' AS title
FROM laureate l JOIN application a USING (application_id)
WHERE l.call_id = :call_id AND l.number > :after ORDER BY l.number LIMIT :page
"""


async def lock_call(tx: Transaction, call_id: str) -> None:
    """Publish one version of a call at a time; held until the transaction ends."""
    await tx.execute(LOCK, call_id=call_id)


async def held_versions(tx: Transaction, call_id: str, version: int) -> Sequence[Row]:
    """The current version and the named one, as far as they exist."""
    return await tx.fetch_all(HELD, call_id=call_id, version=version)


async def taken_names(tx: Transaction, call: Call) -> Sequence[Row]:
    """Names of the call that belong to other calls: the field, and whose it is."""
    rounds = [each.id for each in call.rounds]
    return await tx.fetch_all(TAKEN, call_id=call.id, prefix=call.reference_prefix, rounds=rounds)


async def save_version(tx: Transaction, call: Call, document: str, published_at: datetime) -> None:
    """Store a version of a call and make it the current one."""
    grace = timedelta(seconds=call.grace_s)
    ids = [each.id for each in call.rounds]
    await tx.execute(NEW_CALL, call_id=call.id, version=call.version, prefix=call.reference_prefix)
    # The rounds before the call, as every submission locks them: the other way round they would deadlock.
    await tx.execute(DROP_ROUNDS, call_id=call.id, ids=ids)
    await tx.execute(
        SAVE_ROUNDS, call_id=call.id, ids=ids, opens=[each.opens_at for each in call.rounds],
        closes=[each.closes_at for each in call.rounds], takes=[each.closes_at + grace for each in call.rounds],
        announces=[each.announce_at for each in call.rounds],
    )  # fmt: skip
    await tx.execute(SAVE_CALL, call_id=call.id, version=call.version, prefix=call.reference_prefix)
    await tx.execute(
        SAVE_VERSION, call_id=call.id, version=call.version, document=document, published_at=published_at
    )  # fmt: skip


async def list_calls(tx: Transaction, after: str) -> Sequence[Row]:
    """A page of calls after an id, and one more if there is a next page."""
    return await tx.fetch_all(LIST, after=after, page=PAGE + 1)


async def one_call(tx: Transaction, call_id: str) -> Row | None:
    """The current version of a call with its public totals, or None."""
    return await tx.fetch_one(ONE, call_id=call_id)


async def rounds_of(tx: Transaction, call_ids: Sequence[str]) -> Sequence[Row]:
    """The rounds of some calls by their opening."""
    return await tx.fetch_all(ROUNDS, call_ids=list(call_ids))


async def laureates_of(tx: Transaction, call_id: str, after: int) -> Sequence[Row]:
    """A page of a call's laureates after a reference number, and one more if there is a next page."""
    return await tx.fetch_all(LAUREATES, call_id=call_id, after=after, page=PAGE + 1)


class PublishedCalls:
    """Versions of calls as models. A version never changes once it is published, so a process keeps the last few."""

    def __init__(self, kept: int = 64) -> None:
        self._kept = kept
        self._calls: OrderedDict[tuple[str, int], Call] = OrderedDict()
        self._newest: dict[str, int] = {}

    def newest_known(self, call_id: str) -> Call | None:
        """The newest version that this process has used; there may be a newer one by now."""
        return self._calls.get((call_id, self._newest.get(call_id, 0)))

    async def version(self, tx: Transaction, call_id: str, version: int) -> Call:
        """One version of a call that exists."""
        call = self._calls.get((call_id, version))
        if call is None:
            call = Call.model_validate(await tx.fetch_value(DOCUMENT, call_id=call_id, version=version))
            self._calls[call_id, version] = call
            self._newest[call_id] = max(version, self._newest.get(call_id, 0))
        self._calls.move_to_end((call_id, version))
        while len(self._calls) > self._kept:
            (dropped, old), _ = self._calls.popitem(last=False)
            if self._newest.get(dropped) == old:
                del self._newest[dropped]
        return call
