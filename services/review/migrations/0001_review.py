"""Creates review's tables: what is known of calls, rounds and applications, and the committee's work on them."""

from alembic import op

from shared.messaging.schema import create_messaging_tables, drop_messaging_tables
from shared.migrations.append_only import REFUSE_CHANGE, append_only, take_rights

revision = "review_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    # A row without a version is a place to lock: a fact of the call came before the call itself.
    """
    CREATE TABLE call (
        call_id text PRIMARY KEY,
        version int CHECK (version > 0),
        document jsonb,
        reviewers_by text,
        reviewers_at timestamptz,
        CHECK ((version IS NULL) = (document IS NULL)),
        CHECK ((reviewers_by IS NULL) = (reviewers_at IS NULL))
    )
    """,
    # No foreign keys between received facts: one may come before what it belongs to.
    """
    CREATE TABLE round (
        round_id text PRIMARY KEY,
        call_id text NOT NULL,
        closes_at timestamptz,
        received int NOT NULL DEFAULT 0 CHECK (received >= 0),
        closed_at timestamptz,
        closed_count int CHECK (closed_count >= 0),
        closed_sha256 text CHECK (closed_sha256 ~ '^[0-9a-f]{64}$'),
        matched boolean NOT NULL DEFAULT false,
        planned_at timestamptz,
        CHECK (num_nulls(closed_at, closed_count, closed_sha256) IN (0, 3)),
        CHECK (NOT matched OR closed_at IS NOT NULL)
    )
    """,
    "CREATE INDEX round_of_call ON round (call_id, closes_at)",
    """
    CREATE TABLE reviewer (
        call_id text NOT NULL REFERENCES call,
        subject text NOT NULL CHECK (subject <> ''),
        organisations text[] NOT NULL,
        themes text[] NOT NULL,
        PRIMARY KEY (call_id, subject)
    )
    """,
    "CREATE INDEX reviewer_by_subject ON reviewer (subject)",
    """
    CREATE TABLE application (
        application_id uuid PRIMARY KEY,
        call_id text NOT NULL,
        round_id text NOT NULL,
        reference text NOT NULL,
        siret text NOT NULL CHECK (siret ~ '^[0-9]{14}$'),
        partner_siret text CHECK (partner_siret ~ '^[0-9]{14}$'),
        requested_eur bigint NOT NULL CHECK (requested_eur > 0),
        submitted_at timestamptz NOT NULL,
        dossier jsonb NOT NULL,
        state text NOT NULL DEFAULT 'to_check' CHECK (state IN ('to_check', 'admitted', 'in_evaluation', 'to_assign',
            'to_arbitrate', 'scored', 'inadmissible', 'withdrawn')),
        withdrawn_at timestamptz,
        checks jsonb,
        admissibility_reason text,
        admitted boolean,
        decided_at timestamptz,
        decided_by text,
        lacking int NOT NULL DEFAULT 0 CHECK (lacking >= 0),
        revision int NOT NULL DEFAULT 0 CHECK (revision >= 0),
        CHECK (num_nulls(checks, admissibility_reason, admitted, decided_at) IN (0, 4)),
        CHECK ((withdrawn_at IS NOT NULL) = (state = 'withdrawn')),
        CHECK (state = 'withdrawn' OR (admitted IS NULL) = (state = 'to_check')),
        CHECK ((lacking > 0) = (state = 'to_assign'))
    )
    """,
    "CREATE INDEX application_of_round ON application (round_id, state, submitted_at, application_id)",
    """
    CREATE INDEX application_of_organisation ON application (call_id, siret, submitted_at, application_id)
    WHERE withdrawn_at IS NULL
    """,
    "CREATE INDEX application_lacking ON application (call_id) WHERE lacking > 0",
    """
    CREATE TABLE assignment (
        application_id uuid NOT NULL REFERENCES application,
        slot int NOT NULL CHECK (slot > 0),
        call_id text NOT NULL,
        round_id text NOT NULL,
        subject text NOT NULL CHECK (subject <> ''),
        state text NOT NULL DEFAULT 'to_declare'
            CHECK (state IN ('to_declare', 'to_do', 'in_progress', 'done', 'conflict', 'removed')),
        assigned_at timestamptz NOT NULL,
        assigned_by text,
        assigned_reason text NOT NULL DEFAULT '',
        kind text CHECK (kind IN ('none', 'soft', 'hard')),
        reason text NOT NULL DEFAULT '',
        waived_by text,
        waiver text NOT NULL DEFAULT '',
        versions int NOT NULL DEFAULT 0 CHECK (versions >= 0),
        submitted_version int CHECK (submitted_version BETWEEN 1 AND versions),
        submitted_at timestamptz,
        released_at timestamptz,
        released_why text CHECK (released_why IN ('conflict', 'removed', 'own_organisation', 'replaced', 'withdrawn')),
        PRIMARY KEY (application_id, slot),
        CHECK ((submitted_version IS NULL) = (submitted_at IS NULL)),
        CHECK ((state = 'done') = (submitted_version IS NOT NULL)),
        CHECK ((released_at IS NULL) = (released_why IS NULL)),
        CHECK (state <> 'removed' OR released_at IS NOT NULL),
        CHECK (released_at IS NULL OR state IN ('removed', 'conflict')),
        CHECK (state = 'removed' OR (state = 'to_declare') = (kind IS NULL)),
        CHECK (waived_by IS NULL OR kind <> 'none')
    )
    """,
    "CREATE UNIQUE INDEX assignment_once ON assignment (application_id, subject) WHERE state <> 'removed'",
    "CREATE INDEX assignment_of_subject ON assignment (subject, application_id) WHERE state <> 'removed'",
    "CREATE INDEX assignment_open ON assignment (call_id, subject) WHERE released_at IS NULL AND state <> 'done'",
    # How many places each reviewer has in a round, open and done: a pick must not count a round's assignments.
    """
    CREATE TABLE reviewer_load (
        round_id text NOT NULL,
        subject text NOT NULL,
        places int NOT NULL CHECK (places >= 0),
        PRIMARY KEY (round_id, subject)
    )
    """,
    """
    CREATE TABLE declaration (
        application_id uuid NOT NULL,
        slot int NOT NULL,
        number int GENERATED ALWAYS AS IDENTITY,
        kind text NOT NULL CHECK (kind IN ('none', 'soft', 'hard')),
        reason text NOT NULL,
        declared_at timestamptz NOT NULL,
        voided_version int,
        PRIMARY KEY (application_id, slot, number),
        FOREIGN KEY (application_id, slot) REFERENCES assignment
    )
    """,
    """
    CREATE TABLE evaluation_version (
        application_id uuid NOT NULL,
        slot int NOT NULL,
        version int NOT NULL CHECK (version > 0),
        content jsonb NOT NULL,
        saved_at timestamptz NOT NULL,
        PRIMARY KEY (application_id, slot, version),
        FOREIGN KEY (application_id, slot) REFERENCES assignment
    )
    """,
    """
    CREATE TABLE arbitration (
        application_id uuid NOT NULL REFERENCES application,
        number int NOT NULL CHECK (number > 0),
        content jsonb NOT NULL,
        arbitrated_by text NOT NULL CHECK (arbitrated_by <> ''),
        arbitrated_at timestamptz NOT NULL,
        voided_at timestamptz,
        PRIMARY KEY (application_id, number)
    )
    """,
    "CREATE UNIQUE INDEX arbitration_standing ON arbitration (application_id) WHERE voided_at IS NULL",
    """
    CREATE TABLE score (
        application_id uuid NOT NULL REFERENCES application,
        revision int NOT NULL CHECK (revision > 0),
        content jsonb NOT NULL,
        scored_at timestamptz NOT NULL,
        voided_at timestamptz,
        void_reason text,
        PRIMARY KEY (application_id, revision),
        CHECK ((voided_at IS NULL) = (void_reason IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX score_standing ON score (application_id) WHERE voided_at IS NULL",
    REFUSE_CHANGE,
    *append_only("evaluation_version", "declaration"),
)


def upgrade(runtime_role: str | None = None) -> None:
    create_messaging_tables()
    for statement in TABLES:
        op.execute(statement)
    changes = "UPDATE, DELETE, TRUNCATE"
    take_rights(runtime_role, evaluation_version=changes, declaration=changes)


def downgrade(runtime_role: str | None = None) -> None:
    op.execute("DROP TABLE score, arbitration, evaluation_version, declaration, reviewer_load, assignment")
    op.execute("DROP TABLE application, reviewer, round, call")
    op.execute("DROP FUNCTION refuse_change")
    drop_messaging_tables()
