"""The rows that review's requests leave, in its own tables: what pgbench commits singly is the limit of storing them.

`FILL` prepares applications and places (their number as `$1`), which is not measured. A script takes the next of them.
"""

# ruff: noqa: S608 - constants of this module

ID = "CAST('00000000-0000-7000-8000-' || lpad(to_hex({}), 12, '0') AS uuid)"

SEQUENCES = "".join(
    f"CREATE SEQUENCE IF NOT EXISTS {name} MINVALUE 0; "
    for name in ("bare_checked", "bare_declared", "bare_saved", "bare_submitted")
)
FILL = f"""
INSERT INTO application (application_id, call_id, round_id, reference, siret, requested_eur, submitted_at, dossier)
SELECT {ID.format("n")}, 'bare', 'bare-r1', 'BARE-' || n, '00000101600013', 20000, now(),
    jsonb_build_object('project', jsonb_build_object('summary', repeat('Un projet solide. ', 150)))
FROM generate_series($1::int, $2::int - 1) AS n
"""
FILL_PLACES = f"""
INSERT INTO assignment (application_id, slot, call_id, round_id, subject, assigned_at)
SELECT {ID.format("n")}, slot, 'bare', 'bare-r1', 'reviewer-' || (n + slot * 3) % 8, now()
FROM generate_series($1::int, $2::int - 1) AS n, generate_series(1, 2) AS slot
"""
EVENT = """
counted AS (
    INSERT INTO sequence_counter (topic, key, value) SELECT 'review.scores', id || '{kind}', 1 FROM one {where}
)
INSERT INTO outbox (topic, key, event_id, type, sequence, time, causation_id, traceparent, payload)
SELECT 'review.scores', id, uuidv7(), 'releve.{kind}.v1', 1, now(), 'request:0190a0a0-0000-7000-8000-000000000000',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', convert_to(repeat('x', 600), 'UTF8') FROM one {where};
"""
CHECK = (
    f"WITH one AS (SELECT {ID.format('n')} AS id FROM nextval('bare_checked') AS n), checked AS ("
    "UPDATE application SET state = 'in_evaluation', admitted = true, checks = '{\"theme\": true}',"
    " admissibility_reason = '', decided_at = now(), decided_by = 'officer' FROM one WHERE application_id = one.id), "
    + EVENT.format(kind="ApplicationAdmitted", where="")
)
PLACE = f"SELECT {ID.format('n / 2')} AS id, CAST(n % 2 + 1 AS int) AS slot FROM nextval('{{}}') AS n"
DECLARE = (
    f"WITH one AS ({PLACE.format('bare_declared')}), noted AS ("
    "INSERT INTO declaration (application_id, slot, kind, reason, declared_at) SELECT id, slot, 'none', '', now()"
    " FROM one) UPDATE assignment SET kind = 'none', state = 'to_do' FROM one"
    " WHERE application_id = one.id AND assignment.slot = one.slot;"
)
SAVE = (
    f"WITH one AS ({PLACE.format('bare_saved')}), saved AS ("
    "INSERT INTO evaluation_version (application_id, slot, version, content, saved_at)"
    " SELECT id, slot, 1, CAST(:content AS text)::jsonb, now() FROM one)"
    " UPDATE assignment SET versions = 1, state = 'in_progress' FROM one"
    " WHERE application_id = one.id AND assignment.slot = one.slot;"
)
SUBMIT = (
    f"WITH one AS ({PLACE.format('bare_submitted')}), done AS ("
    "UPDATE assignment SET state = 'done', submitted_version = 1, submitted_at = now() FROM one"
    " WHERE application_id = one.id AND assignment.slot = one.slot), scored AS ("
    "INSERT INTO score (application_id, revision, content, scored_at)"
    ' SELECT id, 1, \'{"score": "80.00"}\', now() FROM one WHERE slot = 2), marked AS ('
    "UPDATE application SET state = 'scored', revision = 1 FROM one WHERE application_id = one.id AND slot = 2), "
    + EVENT.format(kind="Scored", where="WHERE slot = 2")
)
DECIDED = """
CREATE TABLE bare_decided (
    application_id uuid PRIMARY KEY, rank bigint NOT NULL, outcome text NOT NULL, amount_eur bigint NOT NULL
)
"""
DECIDE = """
WITH decided AS (
    INSERT INTO bare_decided (application_id, rank, outcome, amount_eur)
    SELECT application_id, rank() OVER w, CASE WHEN sum(requested_eur) OVER w <= 30000000 THEN 'awarded'
        ELSE 'waitlisted' END, requested_eur
    FROM application WHERE round_id = 'bare-r1' AND application_id NOT IN (SELECT application_id FROM bare_decided)
    WINDOW w AS (ORDER BY submitted_at, application_id) RETURNING *
)
INSERT INTO outbox (topic, key, event_id, type, sequence, time, causation_id, traceparent, payload)
SELECT 'review.scores', application_id, uuidv7(), type, 1, now(), 'request:0190a0a0-0000-7000-8000-000000000000',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', convert_to(repeat('x', 500), 'UTF8')
FROM decided, unnest(ARRAY['releve.GrantAwarded.v1', 'releve.OutcomeAnnounced.v1']) AS type
"""
