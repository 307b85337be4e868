"""Creates notify's tables: the facts that letters need, its copy of contacts, and the deliveries."""

from alembic import op

from shared.messaging.schema import create_messaging_tables, drop_messaging_tables

revision = "notify_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    # The newest version that was published.
    """
    CREATE TABLE call (
        call_id text PRIMARY KEY,
        version int NOT NULL CHECK (version > 0),
        document jsonb NOT NULL
    )
    """,
    # What letters say of an application; none of its texts. No foreign keys: facts come in any order.
    """
    CREATE TABLE application (
        application_id uuid PRIMARY KEY,
        applicant_id uuid NOT NULL,
        reference text NOT NULL,
        title text NOT NULL,
        organisation text NOT NULL,
        requested_eur bigint NOT NULL CHECK (requested_eur > 0),
        submitted_at timestamptz NOT NULL,
        deposited_sha256 text NOT NULL CHECK (deposited_sha256 ~ '^[0-9a-f]{64}$')
    )
    """,
    "CREATE INDEX application_of_applicant ON application (applicant_id)",
    # Scores and outcomes as they were said, sealed ones too; `sequence` is their ce_sequence.
    """
    CREATE TABLE fact (
        application_id uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('scored', 'inadmissible', 'awarded', 'waitlisted', 'not_selected')),
        sequence bigint NOT NULL CHECK (sequence > 0),
        occurred_at timestamptz NOT NULL,
        document jsonb NOT NULL,
        PRIMARY KEY (application_id, kind, sequence)
    )
    """,
    # The only personal data here. An erased contact keeps its key and sequence, so that nothing older restores it.
    """
    CREATE TABLE contact (
        applicant_id uuid PRIMARY KEY,
        sequence bigint NOT NULL CHECK (sequence > 0),
        name text,
        email text,
        language text CHECK (language IN ('fr', 'en')),
        CHECK (num_nulls(name, email, language) IN (0, 3))
    )
    """,
    # One row for each letter. `application_id` is null for sign-in links only. `next_attempt_at`, `claimed_until`,
    # `refused_since` and `created_at` are real time; `caused_at` and `ended_at` are business time.
    """
    CREATE TABLE delivery (
        delivery_id uuid PRIMARY KEY,
        event_id uuid NOT NULL,
        template text NOT NULL,
        message_id text NOT NULL UNIQUE,
        traceparent text NOT NULL,
        application_id uuid,
        applicant_id uuid,
        call_id text,
        call_version int CHECK (call_version > 0),
        round_id text,
        fact_until bigint CHECK (fact_until > 0),
        caused_at timestamptz NOT NULL,
        words jsonb NOT NULL,
        state text NOT NULL DEFAULT 'waiting' CHECK (
            state IN ('waiting', 'sending', 'sent', 'refused_for_now', 'refused_for_good', 'erased')),
        ready boolean NOT NULL DEFAULT false,
        waits_for text[] NOT NULL DEFAULT '{}',
        language text CHECK (language IN ('fr', 'en')),
        attempts int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        claim uuid,
        claimed_until timestamptz,
        refused_since timestamptz,
        reason text,
        retried_by text,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz,
        UNIQUE (event_id, template),
        CHECK (num_nulls(application_id, call_id, call_version) IN (0, 3)),
        CHECK (num_nonnulls(application_id, applicant_id) = 1),
        CHECK ((state = 'sending') = (claim IS NOT NULL AND claimed_until IS NOT NULL)),
        CHECK ((state IN ('sent', 'refused_for_good', 'erased')) = (ended_at IS NOT NULL)),
        CHECK (state NOT IN ('refused_for_good', 'erased') OR reason IS NOT NULL)
    )
    """,
    "CREATE INDEX delivery_of_application ON delivery (application_id, delivery_id)",
    "CREATE INDEX delivery_incomplete ON delivery (next_attempt_at) WHERE state = 'waiting' AND NOT ready",
    "CREATE INDEX delivery_incomplete_of_call ON delivery (call_id) WHERE state = 'waiting' AND NOT ready",
    """
    CREATE INDEX delivery_due ON delivery (next_attempt_at)
    WHERE state IN ('waiting', 'refused_for_now') AND ready
    """,
    "CREATE INDEX delivery_claimed ON delivery (claimed_until) WHERE state = 'sending'",
    "CREATE INDEX delivery_of_applicant ON delivery (applicant_id) WHERE applicant_id IS NOT NULL",
    "CREATE INDEX delivery_unsent ON delivery (state) WHERE state IN ('waiting', 'sending', 'refused_for_now')",
    "CREATE INDEX delivery_refused ON delivery (delivery_id) WHERE state IN ('refused_for_now', 'refused_for_good')",
)


def upgrade(**_: object) -> None:
    create_messaging_tables()
    for statement in TABLES:
        op.execute(statement)


def downgrade(**_: object) -> None:
    for name in ("delivery", "contact", "fact", "application", "call"):
        op.execute(f"DROP TABLE {name}")
    drop_messaging_tables()
