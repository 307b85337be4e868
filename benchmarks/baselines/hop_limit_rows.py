"""The statements of the limit of a hop: claims, effects and outbox rows of a whole batch in one each.

The rows that each service keeps, in its own tables, with its own indexes and checks.
"""

# `e` is the batch, `fresh` what was not claimed before.
FRESH = """
WITH e AS (SELECT * FROM unnest($3::uuid[], $4::text[], {types}) AS e (event_id, key, {names})), fresh AS (
    INSERT INTO inbox (consumer, event_id)
    SELECT $1, event_id FROM e WHERE NOT EXISTS (
        SELECT FROM halted_key h
        WHERE h.consumer = $1 AND h.topic = $2 AND h.key_sha256 = sha256(convert_to(e.key, 'UTF8')))
    ORDER BY event_id ON CONFLICT DO NOTHING RETURNING event_id
)
"""


def statement(effect: str, **columns: str) -> str:
    types = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), start=5))
    return FRESH.format(types=types, names=", ".join(columns)) + effect


INTAKE_SCORED = statement(
    """
    INSERT INTO fact (application_id, kind, sequence, occurred_at, sealed)
    SELECT key::uuid, 'scored', sequence, occurred_at::timestamptz, false FROM e JOIN fresh USING (event_id)
    """,
    sequence="bigint", occurred_at="text",
)  # fmt: skip
INTAKE_AWARDED = statement(
    """
    , a AS (SELECT key::uuid AS application_id, * FROM e JOIN fresh USING (event_id)), f AS (
        INSERT INTO fact (application_id, kind, sequence, occurred_at, sealed, grant_id, amount_eur, answer_by)
        SELECT application_id, 'awarded', sequence, occurred_at::timestamptz, sealed, grant_id, amount_eur,
               answer_by::timestamptz
        FROM a
    )
    INSERT INTO laureate (application_id, call_id, number, amount_eur)
    SELECT a.application_id, p.call_id, p.number, a.amount_eur FROM a JOIN application p USING (application_id)
    WHERE NOT a.sealed OR EXISTS (
        SELECT FROM fact f WHERE f.application_id = a.application_id AND f.kind = 'announced')
    """,
    sequence="bigint", occurred_at="text", sealed="bool", grant_id="uuid", amount_eur="bigint", answer_by="text",
)  # fmt: skip
REVIEW_SUBMITTED = statement(
    """
    , a AS (
        INSERT INTO application (application_id, call_id, round_id, reference, siret, requested_eur, submitted_at,
                                 dossier)
        SELECT key::uuid, call_id, round_id, reference, siret, requested_eur, submitted_at::timestamptz, dossier::jsonb
        FROM e JOIN fresh USING (event_id) ORDER BY 1
        RETURNING round_id
    )
    UPDATE round SET received = received + n.more
    FROM (SELECT round_id, count(*) AS more FROM a GROUP BY round_id ORDER BY round_id) n
    WHERE round.round_id = n.round_id
    """,
    call_id="text", round_id="text", reference="text", siret="text", requested_eur="bigint", submitted_at="text",
    dossier="text",
)  # fmt: skip
REVIEW_CLOSED = statement(
    """
    UPDATE round SET closed_at = e.at::timestamptz, closed_count = e.submitted, closed_sha256 = e.sha256
    FROM e JOIN fresh USING (event_id) WHERE round_id = e.key
    """,
    at="text", submitted="int", sha256="text",
)  # fmt: skip
# A full join, since the planner expects one row and would look through all for each.
REVIEW_MATCHED = """
WITH matched AS (
    UPDATE round SET matched = true
    WHERE NOT matched AND received = closed_count AND closed_sha256 = (
        SELECT encode(sha256(string_agg(a.application_id::text, chr(10) ORDER BY a.application_id)::bytea), 'hex')
        FROM application a WHERE a.round_id = round.round_id)
    RETURNING round_id
), admitted AS (
    UPDATE application SET state = 'admitted', admitted = true, checks = $1::text::jsonb, admissibility_reason = '',
        decided_at = now()
    FROM matched WHERE application.round_id = matched.round_id AND state = 'to_check'
    RETURNING application_id::text AS key, call_id, application.round_id
), numbered AS (
    INSERT INTO sequence_counter AS c (topic, key, value) SELECT 'review.scores', key, 1 FROM admitted ORDER BY key
    ON CONFLICT (topic, key) DO UPDATE SET value = c.value + 1
    RETURNING key, value
)
INSERT INTO outbox (topic, key, event_id, type, sequence, time, causation_id, traceparent, payload)
SELECT 'review.scores', key, uuidv7(), 'releve.ApplicationAdmitted.v1', value, now(), $2, $3,
       convert_to(json_build_object(
           'occurred_at', now(), 'call_id', call_id, 'call_version', 1, 'round_id', round_id, 'application_id', key,
           'checks', $1::text::json)::text, 'UTF8')
FROM admitted FULL JOIN numbered USING (key)
"""
# `old` is the row that was there, so that two statements at once count rightly. Both topics of funding touch the same
# applications and rounds: applications first, by their ids, then rounds by theirs (`d` is whole before a round is
# locked), so that no two wait for each other. What a locking SELECT gives is the newest row; the UPDATE by itself would
# first try its sums and the table's checks on the row that was there when the statement began.
FUNDING_COUNTED = """
    , d AS (
        SELECT round_id, count(*) AS changes, sum((submitted AND NOT had_submitted)::int) AS received,
               sum(open::int - had_open::int) AS opened
        FROM a GROUP BY round_id
    ), held AS (
        SELECT r.round_id, r.received + d.received AS received, r.open_members + d.opened AS open_members,
               r.inputs_version + d.changes AS inputs_version
        FROM d JOIN round r USING (round_id) ORDER BY r.round_id FOR NO KEY UPDATE OF r
    )
    UPDATE round SET received = held.received, open_members = held.open_members, inputs_version = held.inputs_version
    FROM held WHERE round.round_id = held.round_id
"""
RETURNING = """
    RETURNING new.round_id, new.submitted_at IS NOT NULL AS submitted, old.submitted_at IS NOT NULL AS had_submitted,
        new.open, coalesce(old.open, false) AS had_open
"""
FUNDING_SUBMITTED = statement(
    f"""
    , a AS (
        INSERT INTO application AS n (application_id, call_id, round_id, reference, title, organisation, requested_eur,
                                      submitted_at)
        SELECT key::uuid, call_id, round_id, reference, title, organisation, requested_eur, submitted_at::timestamptz
        FROM e JOIN fresh USING (event_id) ORDER BY 1
        ON CONFLICT (application_id) DO UPDATE SET reference = excluded.reference, title = excluded.title,
            organisation = excluded.organisation, requested_eur = excluded.requested_eur,
            submitted_at = excluded.submitted_at
        WHERE n.submitted_at IS NULL
        {RETURNING}
    )
    {FUNDING_COUNTED}
    """,  # noqa: S608 - constants
    call_id="text", round_id="text", reference="text", title="text", organisation="text", requested_eur="bigint",
    submitted_at="text",
)  # fmt: skip
FUNDING_SCORED = statement(
    f"""
    , a AS (
        INSERT INTO application AS n (application_id, call_id, round_id, review_sequence, score, means, recommended_eur)
        SELECT key::uuid, call_id, round_id, sequence, score::numeric, means::jsonb, recommended_eur
        FROM e JOIN fresh USING (event_id) ORDER BY 1
        ON CONFLICT (application_id) DO UPDATE SET review_sequence = excluded.review_sequence, score = excluded.score,
            means = excluded.means, recommended_eur = excluded.recommended_eur
        WHERE n.review_sequence < excluded.review_sequence
        {RETURNING}
    )
    {FUNDING_COUNTED}
    """,  # noqa: S608 - constants
    call_id="text", round_id="text", sequence="bigint", score="text", means="text", recommended_eur="bigint",
)  # fmt: skip
NOTIFY_SUBMITTED = statement(
    """
    , b AS (SELECT key::uuid AS application_id, * FROM e JOIN fresh USING (event_id)), a AS (
        INSERT INTO application (application_id, applicant_id, reference, title, organisation, requested_eur,
                                 submitted_at, deposited_sha256)
        SELECT application_id, applicant_id, reference, title, organisation, requested_eur, submitted_at::timestamptz,
               digest
        FROM b ORDER BY 1 ON CONFLICT DO NOTHING
    ), d AS (
        INSERT INTO delivery (delivery_id, event_id, template, message_id, traceparent, application_id, call_id,
                              call_version, round_id, caused_at, words)
        SELECT uuidv7(), event_id, 'receipt', '<' || event_id || '@letters.releve>', trace, application_id, call_id, 1,
               round_id, occurred_at::timestamptz, '{}'
        FROM b ORDER BY event_id ON CONFLICT DO NOTHING
        RETURNING delivery_id
    )
    SELECT pg_notify('notify_letters', '') FROM d LIMIT 1
    """,
    applicant_id="uuid", reference="text", title="text", organisation="text", requested_eur="bigint",
    submitted_at="text", digest="text", trace="text", call_id="text", round_id="text", occurred_at="text",
)  # fmt: skip
