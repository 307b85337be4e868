"""Creates funding's tables: the ledger with its balance, and what rounds, applications and grants are known to be."""

from alembic import op

from shared.messaging.schema import create_messaging_tables, drop_messaging_tables
from shared.migrations.append_only import REFUSE_CHANGE, append_only, take_rights

revision = "funding_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE call (
        call_id text PRIMARY KEY,
        version int CHECK (version > 0),
        document jsonb,
        allocation text CHECK (allocation IN ('ranked', 'rolling')),
        inadmissible_told text CHECK (inadmissible_told IN ('announcement', 'at_once')),
        frozen boolean NOT NULL DEFAULT false,
        unmet_reduction_eur bigint NOT NULL DEFAULT 0 CHECK (unmet_reduction_eur >= 0),
        CHECK (num_nulls(version, document, allocation, inadmissible_told) IN (0, 4))
    )
    """,
    """
    CREATE TABLE round (
        round_id text PRIMARY KEY,
        call_id text NOT NULL,
        opens_at timestamptz,
        closes_at timestamptz,
        announce_at timestamptz,
        list_ends_at timestamptz,
        closed_at timestamptz,
        closed_call_version int,
        closed_count int CHECK (closed_count >= 0),
        closed_sha256 text CHECK (closed_sha256 ~ '^[0-9a-f]{64}$'),
        received int NOT NULL DEFAULT 0 CHECK (received >= 0),
        open_members int NOT NULL DEFAULT 0 CHECK (open_members >= 0 AND open_members <= received),
        members_match boolean,
        inputs_version bigint NOT NULL DEFAULT 0,
        ready boolean NOT NULL DEFAULT false,
        current_proposal uuid,
        last_rank int NOT NULL DEFAULT 0,
        decided_at timestamptz,
        announce_due_at timestamptz,
        announced_at timestamptz,
        CHECK (num_nulls(opens_at, closes_at, announce_at, list_ends_at) IN (0, 4)),
        CHECK (num_nulls(closed_at, closed_call_version, closed_count, closed_sha256) IN (0, 4))
    )
    """,
    "CREATE INDEX round_of_call ON round (call_id, closes_at)",
    "CREATE INDEX round_to_announce ON round (announce_due_at) WHERE announced_at IS NULL",
    # Received facts about one application; no foreign keys: a fact may come before what it belongs to.
    """
    CREATE TABLE application (
        application_id uuid PRIMARY KEY,
        call_id text NOT NULL,
        round_id text,
        reference text,
        title text,
        organisation text,
        requested_eur bigint CHECK (requested_eur > 0),
        submitted_at timestamptz,
        withdrawn_at timestamptz,
        inadmissible_at timestamptz,
        review_sequence bigint NOT NULL DEFAULT 0,
        score numeric(5, 2) CHECK (score BETWEEN 0 AND 100),
        means jsonb,
        recommended_eur bigint CHECK (recommended_eur > 0),
        open boolean NOT NULL GENERATED ALWAYS AS (
            submitted_at IS NOT NULL AND withdrawn_at IS NULL AND inadmissible_at IS NULL AND score IS NULL) STORED,
        outcome text CHECK (outcome IN ('awarded', 'waitlisted', 'not_selected')),
        reason text,
        rank int CHECK (rank > 0),
        claim_eur bigint CHECK (claim_eur > 0),
        told_at timestamptz,
        CHECK (submitted_at IS NULL OR num_nulls(round_id, reference, title, organisation, requested_eur) = 0),
        CHECK ((score IS NULL) = (means IS NULL))
    )
    """,
    "CREATE INDEX application_of_round ON application (round_id, application_id)",
    "CREATE INDEX application_open ON application (round_id) WHERE open",
    """
    CREATE INDEX application_waiting ON application (round_id, rank)
    WHERE outcome = 'waitlisted' AND withdrawn_at IS NULL
    """,
    """
    CREATE TABLE proposal (
        proposal_id uuid PRIMARY KEY,
        call_id text NOT NULL,
        round_id text NOT NULL,
        number int NOT NULL CHECK (number > 0),
        made_at timestamptz NOT NULL,
        made_by text NOT NULL CHECK (made_by <> ''),
        inputs_version bigint NOT NULL,
        call_version int NOT NULL,
        ledger_entry bigint NOT NULL CHECK (ledger_entry > 0),
        frozen boolean NOT NULL,
        moves jsonb NOT NULL,
        inputs text NOT NULL,
        outcome text NOT NULL,
        inputs_sha256 text NOT NULL CHECK (inputs_sha256 ~ '^[0-9a-f]{64}$'),
        outcome_sha256 text NOT NULL CHECK (outcome_sha256 ~ '^[0-9a-f]{64}$'),
        awarded int NOT NULL CHECK (awarded >= 0),
        waitlisted int NOT NULL CHECK (waitlisted >= 0),
        not_selected int NOT NULL CHECK (not_selected >= 0),
        awarded_eur bigint NOT NULL CHECK (awarded_eur >= 0),
        remaining_eur bigint NOT NULL CHECK (remaining_eur >= 0),
        first_by text,
        first_at timestamptz,
        confirmed_by text,
        confirmed_at timestamptz,
        UNIQUE (round_id, number),
        CHECK ((first_by IS NULL) = (first_at IS NULL)),
        CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL)),
        CHECK (first_by <> confirmed_by)
    )
    """,
    # One round is decided once, whatever two officers do.
    "CREATE UNIQUE INDEX proposal_confirmed ON proposal (round_id) WHERE confirmed_at IS NOT NULL",
    """
    CREATE TABLE proposal_line (
        proposal_id uuid NOT NULL,
        rank int NOT NULL CHECK (rank > 0),
        application_id uuid NOT NULL,
        score numeric(5, 2) NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('awarded', 'waitlisted', 'not_selected')),
        reason text,
        claim_eur bigint NOT NULL CHECK (claim_eur > 0),
        awarded_eur bigint NOT NULL CHECK (awarded_eur >= 0),
        running_eur bigint NOT NULL CHECK (running_eur >= 0),
        told_apart_by text,
        PRIMARY KEY (proposal_id, rank),
        CHECK ((outcome = 'awarded') = (awarded_eur > 0))
    )
    """,
    """
    CREATE TABLE award (
        grant_id uuid PRIMARY KEY,
        application_id uuid NOT NULL UNIQUE,
        call_id text NOT NULL,
        round_id text NOT NULL,
        rank int NOT NULL CHECK (rank > 0),
        amount_eur bigint NOT NULL CHECK (amount_eur > 0),
        requested_eur bigint NOT NULL,
        state text NOT NULL CHECK (state IN ('awarded', 'accepted', 'committed', 'started', 'completed', 'declined',
                                             'withdrawn', 'lapsed', 'revoked')),
        awarded_at timestamptz NOT NULL,
        answer_by timestamptz NOT NULL,
        accepted_at timestamptz,
        signed_on date,
        started_on date,
        completed_on date,
        released_at timestamptz,
        release_why text,
        release_entry bigint,
        sign_entry bigint,
        lapses_at timestamptz,
        CHECK (amount_eur <= requested_eur),
        CHECK ((released_at IS NULL) = (state NOT IN ('declined', 'withdrawn', 'lapsed', 'revoked'))),
        CHECK (lapses_at IS NULL OR state IN ('awarded', 'accepted', 'committed'))
    )
    """,
    "CREATE INDEX award_of_call ON award (call_id, grant_id)",
    "CREATE INDEX award_lapsing ON award (lapses_at) WHERE lapses_at IS NOT NULL",
    """
    CREATE TABLE flag (
        flag_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        call_id text NOT NULL,
        round_id text,
        application_id uuid,
        kind text NOT NULL,
        detail text NOT NULL,
        event_id uuid NOT NULL,
        occurred_at timestamptz NOT NULL,
        UNIQUE NULLS NOT DISTINCT (event_id, application_id)
    )
    """,
    "CREATE INDEX flag_of_round ON flag (round_id, application_id)",
)

LEDGER = (
    """
    CREATE TABLE balance (
        call_id text PRIMARY KEY,
        last_entry bigint NOT NULL DEFAULT 0 CHECK (last_entry >= 0),
        envelope_eur bigint NOT NULL DEFAULT 0,
        available_eur bigint NOT NULL DEFAULT 0 CHECK (available_eur >= 0),
        reserved_eur bigint NOT NULL DEFAULT 0 CHECK (reserved_eur >= 0),
        committed_eur bigint NOT NULL DEFAULT 0 CHECK (committed_eur >= 0),
        CHECK (available_eur + reserved_eur + committed_eur = envelope_eur)
    )
    """,
    # Money goes from the credited to the debited account.
    """
    CREATE TABLE ledger_entry (
        call_id text NOT NULL,
        number bigint NOT NULL CHECK (number > 0),
        kind text NOT NULL,
        debit text NOT NULL,
        credit text NOT NULL,
        amount_eur bigint NOT NULL CHECK (amount_eur > 0),
        application_id uuid,
        grant_id uuid,
        who text NOT NULL CHECK (who <> ''),
        why text NOT NULL CHECK (why <> ''),
        occurred_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (call_id, number),
        CHECK ((kind, debit, credit) IN (
            ('set_envelope', 'available', 'source'), ('set_envelope', 'source', 'available'),
            ('reserve', 'reserved', 'available'), ('commit', 'committed', 'reserved'),
            ('release', 'available', 'reserved'), ('release', 'available', 'committed'))),
        CHECK ((kind = 'set_envelope') = (grant_id IS NULL)),
        CHECK ((grant_id IS NULL) = (application_id IS NULL)),
        CHECK (number > 1 OR (kind = 'set_envelope' AND debit = 'available'))
    )
    """,
    # Each reservation is made, committed and released at most once.
    "CREATE UNIQUE INDEX ledger_entry_of_grant ON ledger_entry (grant_id, kind) WHERE grant_id IS NOT NULL",
    """
    CREATE FUNCTION ledger_moves_balance() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    DECLARE
        moved record;
    BEGIN
        FOR moved IN
            SELECT call_id, count(*) AS entries, min(number) AS first, max(number) AS last, sum(source) AS source,
                   sum(available) AS available, sum(reserved) AS reserved, sum(committed) AS committed,
                   min(so_far) AS lowest
            FROM (
                SELECT *, sum(available) OVER (PARTITION BY call_id ORDER BY number) AS so_far
                FROM (
                    SELECT call_id, number,
                     CASE 'source' WHEN credit THEN amount_eur WHEN debit THEN -amount_eur ELSE 0 END AS source,
                     CASE 'available' WHEN debit THEN amount_eur WHEN credit THEN -amount_eur ELSE 0 END AS available,
                     CASE 'reserved' WHEN debit THEN amount_eur WHEN credit THEN -amount_eur ELSE 0 END AS reserved,
                     CASE 'committed' WHEN debit THEN amount_eur WHEN credit THEN -amount_eur ELSE 0 END AS committed
                    FROM entry) AS movement) AS running
            GROUP BY call_id ORDER BY call_id
        LOOP
            IF moved.first = 1 THEN
                INSERT INTO balance (call_id) VALUES (moved.call_id) ON CONFLICT DO NOTHING;
            END IF;
            UPDATE balance SET
                last_entry = moved.last,
                envelope_eur = envelope_eur + moved.source,
                available_eur = available_eur + moved.available,
                reserved_eur = reserved_eur + moved.reserved,
                committed_eur = committed_eur + moved.committed
            WHERE call_id = moved.call_id AND last_entry = moved.first - 1
                AND available_eur + moved.lowest >= 0;
            IF NOT FOUND AND EXISTS (
                SELECT FROM balance WHERE call_id = moved.call_id AND last_entry = moved.first - 1) THEN
                RAISE EXCEPTION 'the envelope of % is short', moved.call_id USING ERRCODE = 'check_violation';
            ELSIF NOT FOUND THEN
                RAISE EXCEPTION 'entry % of % does not follow the last', moved.first, moved.call_id
                    USING ERRCODE = 'serialization_failure';
            ELSIF moved.last - moved.first + 1 <> moved.entries THEN
                RAISE EXCEPTION 'the entries of % leave a gap', moved.call_id USING ERRCODE = 'check_violation';
            END IF;
        END LOOP;
        IF EXISTS (
            SELECT FROM entry n WHERE n.kind IN ('commit', 'release') AND NOT EXISTS (
                SELECT FROM ledger_entry r
                WHERE r.grant_id = n.grant_id AND r.kind = 'reserve' AND r.call_id = n.call_id
                    AND r.application_id = n.application_id AND r.amount_eur = n.amount_eur AND r.number < n.number)
        ) THEN
            RAISE EXCEPTION 'an entry moves money that its grant does not hold' USING ERRCODE = 'check_violation';
        END IF;
        IF EXISTS (
            SELECT FROM entry n WHERE n.kind = 'release' AND (n.credit = 'committed') <> EXISTS (
                SELECT FROM ledger_entry c WHERE c.grant_id = n.grant_id AND c.kind = 'commit' AND c.number < n.number)
        ) THEN
            RAISE EXCEPTION 'a release takes from an account that does not hold it' USING ERRCODE = 'check_violation';
        END IF;
        IF EXISTS (
            SELECT FROM entry n JOIN ledger_entry r ON r.grant_id = n.grant_id AND r.kind = 'release'
            WHERE n.kind = 'commit' AND r.number < n.number
        ) THEN
            RAISE EXCEPTION 'a released grant cannot be committed' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER ledger_moves_balance AFTER INSERT ON ledger_entry
    REFERENCING NEW TABLE AS entry FOR EACH STATEMENT EXECUTE FUNCTION ledger_moves_balance()
    """,
    # Nobody else may hang this function on a table of their own and move the balance with it.
    "REVOKE EXECUTE ON FUNCTION ledger_moves_balance() FROM PUBLIC",
    REFUSE_CHANGE,
    *append_only("ledger_entry"),
    """
    CREATE TRIGGER balance_moves_by_ledger BEFORE INSERT OR UPDATE OR DELETE ON balance
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change()
    """,
    "CREATE TRIGGER balance_stays BEFORE TRUNCATE ON balance FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
)


def upgrade(runtime_role: str | None = None) -> None:
    create_messaging_tables()
    for statement in (*TABLES, *LEDGER):
        op.execute(statement)
    changes = "UPDATE, DELETE, TRUNCATE"
    take_rights(runtime_role, ledger_entry=changes, balance=f"INSERT, {changes}")


def downgrade(runtime_role: str | None = None) -> None:
    op.execute("DROP TABLE ledger_entry, balance, flag, award, proposal_line, proposal, application, round, call")
    op.execute("DROP FUNCTION ledger_moves_balance, refuse_change")
    drop_messaging_tables()
