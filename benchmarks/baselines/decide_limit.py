"""The limit of deciding: the rows that funding's handlers leave of a decided round, by `INSERT … SELECT` in its tables.

The same tables with their indexes, checks and triggers; the ledger moves the balance as it does for the product. What
rows hold is computed by the server from the applications, so that nothing but SQL is between them.
"""

import time

import asyncpg

HEAD = """
'{"occurred_at":"2026-10-01T09:00:00Z","call_id":"' || w.call_id || '","call_version":1,"round_id":"' || w.round_id ||
'","application_id":"' || w.application_id || '","sealed":true'
"""
LINES = """
INSERT INTO proposal_line (proposal_id, rank, application_id, score, outcome, reason, claim_eur, awarded_eur,
                           running_eur, told_apart_by)
SELECT $1::uuid, rank, application_id, score, 'awarded', NULL, claim_eur, claim_eur,
    sum(claim_eur) OVER (ORDER BY rank), CASE WHEN score = lag(score) OVER (ORDER BY rank) THEN 'submitted_at' END
FROM (
    SELECT application_id, score, least(greatest(coalesce(recommended_eur, requested_eur), 10000), requested_eur)
            AS claim_eur, row_number() OVER (ORDER BY score DESC, means->>'inclusion' DESC, means->>'employment' DESC,
                                             means->>'relevance' DESC, submitted_at, application_id) AS rank
    FROM application WHERE round_id = $2 AND submitted_at IS NOT NULL AND withdrawn_at IS NULL
        AND inadmissible_at IS NULL AND score IS NOT NULL) AS ranked
"""
PROPOSAL = """
WITH documents AS MATERIALIZED (
    SELECT (SELECT '{"members":[' || string_agg(
                '{"application_id":"' || application_id || '","means":' || replace(means::text, ' ', '')
                || ',"recommended_eur":' || coalesce(recommended_eur::text, 'null') || ',"requested_eur":'
                || requested_eur || ',"score":"' || score || '","submitted_at":"' || submitted_at || '"}', ','
                ORDER BY application_id) || ']}' FROM application WHERE round_id = $2) AS inputs,
           (SELECT '{"lines":[' || string_agg(
                '{"application_id":"' || application_id || '","awarded_eur":' || awarded_eur || ',"claim_eur":'
                || claim_eur || ',"outcome":"' || outcome || '","rank":' || rank || ',"reason":null}', ','
                ORDER BY rank) || ']}' FROM proposal_line WHERE proposal_id = $1::uuid) AS outcome
)
INSERT INTO proposal (proposal_id, call_id, round_id, number, made_at, made_by, inputs_version, call_version,
    ledger_entry, frozen, moves, inputs, outcome, inputs_sha256, outcome_sha256, awarded, waitlisted, not_selected,
    awarded_eur, remaining_eur, confirmed_by, confirmed_at)
SELECT $1::uuid, r.call_id, $2, 1, now(), 'chair', inputs_version, 1, last_entry, false, '[]', inputs, outcome,
    encode(sha256(convert_to(inputs, 'UTF8')), 'hex'), encode(sha256(convert_to(outcome, 'UTF8')), 'hex'),
    r.received, 0, 0, 0, 0, 'chair', now()
FROM documents, round r JOIN balance USING (call_id) WHERE round_id = $2
"""
OUTCOMES = """
UPDATE application a SET outcome = l.outcome, reason = l.reason, rank = l.rank, claim_eur = l.claim_eur
FROM proposal_line l WHERE l.proposal_id = $1::uuid AND a.application_id = l.application_id
"""
AWARDS = """
INSERT INTO award (grant_id, application_id, call_id, round_id, rank, amount_eur, requested_eur, state, awarded_at,
                   answer_by, lapses_at)
SELECT uuidv7(), application_id, call_id, round_id, l.rank, awarded_eur, requested_eur, 'awarded', now(),
    now() + interval '30 days', now() + interval '31 days'
FROM proposal_line l JOIN application USING (application_id) WHERE proposal_id = $1::uuid ORDER BY l.rank
"""
LEDGER = """
INSERT INTO ledger_entry (call_id, number, kind, debit, credit, amount_eur, application_id, grant_id, who, why,
                          occurred_at)
SELECT call_id, last_entry + row_number() OVER (ORDER BY rank), 'reserve', 'reserved', 'available', amount_eur,
    application_id, grant_id, 'chair', 'decision of ' || round_id, now()
FROM award JOIN balance USING (call_id) WHERE round_id = $1 ORDER BY rank
"""
COUNTERS = """
INSERT INTO sequence_counter (topic, key, value) SELECT 'funding.grants', application_id, 1 FROM award
WHERE round_id = $1 ORDER BY application_id::text
"""
OUTBOX = f"""
INSERT INTO outbox (topic, key, event_id, type, sequence, time, causation_id, traceparent, payload)
SELECT 'funding.grants', w.application_id, uuidv7(), 'releve.GrantAwarded.v1', 1, now(),
    'request:0190a0a0-0000-7000-8000-000000000000', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    convert_to({HEAD} || ',"grant_id":"' || w.grant_id || '","amount_eur":' || w.amount_eur || ',"requested_eur":'
        || w.requested_eur || ',"rank":' || w.rank || ',"answer_by":"2026-10-31T22:59:59Z","ledger_entry":' || e.number
        || '}}', 'UTF8')
FROM award w JOIN ledger_entry e USING (grant_id) WHERE w.round_id = $1 ORDER BY w.rank
"""  # noqa: S608 - constants of this module
DECIDED = """
UPDATE round SET current_proposal = $1::uuid, decided_at = now(), announce_due_at = announce_at WHERE round_id = $2
"""


async def decide_in_sql(dsn: str, round_id: str) -> dict[str, float]:
    """Leave a decided round's rows by one transaction; its `seconds`."""
    connection = await asyncpg.connect(dsn)
    proposal_id = await connection.fetchval("SELECT uuidv7()::text")
    begun = time.perf_counter()
    async with connection.transaction():
        for both in (LINES, PROPOSAL):
            await connection.execute(both, proposal_id, round_id)
        await connection.execute(OUTCOMES, proposal_id)
        await connection.execute(AWARDS, proposal_id)
        for of_round in (LEDGER, COUNTERS, OUTBOX):
            await connection.execute(of_round, round_id)
        await connection.execute(DECIDED, proposal_id, round_id)
    seconds = time.perf_counter() - begun
    await connection.close()
    return {"seconds": seconds}
