"""Owns the rows of facts about applications and the laureates that follow from them; it decides nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.intake.domain.status import Fact, Kind
from shared.db import Transaction

INSERT = """
INSERT INTO fact (application_id, kind, sequence, occurred_at, sealed, grant_id, amount_eur, answer_by, reason,
                  template)
SELECT * FROM unnest(
    CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:sequences AS bigint[]), CAST(:times AS timestamptz[]),
    CAST(:sealed AS boolean[]), CAST(:grants AS uuid[]), CAST(:amounts AS bigint[]), CAST(:deadlines AS timestamptz[]),
    CAST(:reasons AS text[]), CAST(:templates AS text[]))
ON CONFLICT (application_id, kind, sequence) DO NOTHING
"""

OF = """
SELECT application_id::text AS application_id, kind, sequence, occurred_at, sealed, grant_id::text AS grant_id,
       amount_eur, answer_by, reason, template
FROM fact WHERE application_id = ANY(CAST(:ids AS uuid[]))
"""

UNSEALED = """
SELECT DISTINCT application_id::text AS application_id FROM fact
WHERE application_id = ANY(CAST(:ids AS uuid[])) AND (kind = :announced OR kind = :awarded AND NOT sealed)
"""

# The difference between what is wanted and what is held moves the call's totals in the same statement.
PUT_LAUREATES = """
WITH wanted AS (
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:amounts AS bigint[])) AS w (application_id, amount_eur)
), gone AS (
    DELETE FROM laureate l USING wanted w WHERE l.application_id = w.application_id AND w.amount_eur IS NULL
    RETURNING l.call_id, l.amount_eur
), come AS (
    INSERT INTO laureate (application_id, call_id, number, amount_eur)
    SELECT a.application_id, a.call_id, a.number, w.amount_eur
    FROM wanted w JOIN application a USING (application_id) WHERE w.amount_eur IS NOT NULL
    ON CONFLICT (application_id) DO NOTHING
    RETURNING call_id, amount_eur
), change AS (
    SELECT call_id, sum(n) AS laureates, sum(n * amount_eur) AS eur
    FROM (SELECT call_id, -1 AS n, amount_eur FROM gone UNION ALL SELECT call_id, 1, amount_eur FROM come) each
    GROUP BY call_id
)
UPDATE laureate_total t SET laureates = t.laureates + change.laureates, amount_eur = t.amount_eur + change.eur
FROM change WHERE t.call_id = change.call_id
"""

ANNOUNCE_ROUNDS = """
INSERT INTO announcement (round_id, announced_at)
SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:times AS timestamptz[]))
ON CONFLICT (round_id) DO NOTHING
"""


async def insert_facts(tx: Transaction, facts: Sequence[tuple[str, Fact]]) -> None:
    """Store facts by application; one that is held already stays as it is."""
    await tx.execute(
        INSERT, ids=[application_id for application_id, _ in facts], kinds=[str(fact.kind) for _, fact in facts],
        sequences=[fact.sequence for _, fact in facts], times=[fact.occurred_at for _, fact in facts],
        sealed=[fact.sealed for _, fact in facts], grants=[fact.grant_id for _, fact in facts],
        amounts=[fact.amount_eur for _, fact in facts], deadlines=[fact.answer_by for _, fact in facts],
        reasons=[fact.reason for _, fact in facts], templates=[fact.template for _, fact in facts],
    )  # fmt: skip


async def facts_of(tx: Transaction, application_ids: Sequence[str]) -> Mapping[str, list[Fact]]:
    """The facts held about applications; an application without any has an empty list."""
    facts: dict[str, list[Fact]] = defaultdict(list)
    for row in await tx.fetch_all(OF, ids=list(application_ids)):
        values = dict(row)
        facts[values.pop("application_id")].append(Fact(**(values | {"kind": Kind(values["kind"])})))
    return facts


async def unsealed_among(tx: Transaction, application_ids: Sequence[str]) -> list[str]:
    """Those of these applications whose award may be told: it was not sealed, or it was announced."""
    rows = await tx.fetch_all(UNSEALED, ids=list(application_ids), announced=Kind.ANNOUNCED, awarded=Kind.AWARDED)
    return sorted(row["application_id"] for row in rows)


async def put_laureates(tx: Transaction, amounts_eur: Mapping[str, int | None]) -> None:
    """Make applications laureates with an amount, or none (None), and keep their calls' totals."""
    ids = sorted(amounts_eur)
    await tx.execute(PUT_LAUREATES, ids=ids, amounts=[amounts_eur[each] for each in ids])


async def announce_rounds(tx: Transaction, announced: Mapping[str, datetime]) -> None:
    """Keep when rounds were announced."""
    ids = sorted(announced)
    await tx.execute(ANNOUNCE_ROUNDS, ids=ids, times=[announced[each] for each in ids])
