"""Creates intake's tables: calls and their rounds, applicants, applications, the facts about them, and laureates."""

from alembic import op

from shared.messaging.schema import create_messaging_tables, drop_messaging_tables

revision = "intake_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE call (
        call_id text PRIMARY KEY,
        version int NOT NULL CHECK (version > 0),
        reference_prefix text NOT NULL UNIQUE,
        last_reference int NOT NULL DEFAULT 0 CHECK (last_reference >= 0)
    )
    """,
    """
    CREATE TABLE call_version (
        call_id text NOT NULL REFERENCES call,
        version int NOT NULL CHECK (version > 0),
        document jsonb NOT NULL,
        published_at timestamptz NOT NULL,
        PRIMARY KEY (call_id, version)
    )
    """,
    """
    CREATE TABLE round (
        round_id text PRIMARY KEY,
        call_id text NOT NULL REFERENCES call,
        opens_at timestamptz NOT NULL,
        closes_at timestamptz NOT NULL CHECK (closes_at > opens_at),
        announce_at timestamptz NOT NULL CHECK (announce_at >= closes_at),
        takes_until timestamptz NOT NULL CHECK (takes_until >= closes_at),
        closed_at timestamptz,
        submitted int CHECK (submitted >= 0),
        applications_sha256 text CHECK (applications_sha256 ~ '^[0-9a-f]{64}$'),
        CHECK (num_nulls(closed_at, submitted, applications_sha256) IN (0, 3))
    )
    """,
    # Apart from the round, whose row every submission locks.
    """
    CREATE TABLE announcement (
        round_id text PRIMARY KEY,
        announced_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX round_of_call ON round (call_id, opens_at)",
    "CREATE INDEX round_to_close ON round (takes_until) WHERE closed_at IS NULL",
    """
    CREATE TABLE applicant (
        applicant_id uuid PRIMARY KEY,
        email text NOT NULL,
        email_key text NOT NULL UNIQUE CHECK (email_key <> ''),
        name text NOT NULL,
        language text NOT NULL CHECK (language IN ('fr', 'en'))
    )
    """,
    """
    CREATE TABLE application (
        application_id uuid PRIMARY KEY,
        call_id text NOT NULL REFERENCES call,
        call_version int NOT NULL CHECK (call_version > 0),
        round_id text NOT NULL REFERENCES round,
        applicant_id uuid NOT NULL REFERENCES applicant,
        number int NOT NULL CHECK (number > 0),
        reference text NOT NULL UNIQUE,
        token_version int NOT NULL DEFAULT 1 CHECK (token_version > 0),
        organisation jsonb NOT NULL,
        project jsonb NOT NULL,
        submitted_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX application_of_round ON application (round_id, application_id)",
    "CREATE INDEX application_of_applicant ON application (applicant_id)",
    # A link becomes a session once; both are stored as their SHA-256.
    """
    CREATE TABLE sign_in (
        link_sha256 bytea PRIMARY KEY CHECK (octet_length(link_sha256) = 32),
        applicant_id uuid NOT NULL REFERENCES applicant ON DELETE CASCADE,
        link_until timestamptz NOT NULL,
        session_sha256 bytea UNIQUE CHECK (octet_length(session_sha256) = 32),
        session_until timestamptz,
        CHECK (num_nulls(session_sha256, session_until) IN (0, 2))
    )
    """,
    "CREATE INDEX sign_in_of_applicant ON sign_in (applicant_id)",
    "CREATE INDEX sign_in_ended ON sign_in (coalesce(session_until, link_until))",
    """
    CREATE TABLE idempotency (
        call_id text NOT NULL,
        address_hmac bytea NOT NULL CHECK (octet_length(address_hmac) = 32),
        key text NOT NULL CHECK (key <> ''),
        body_hmac bytea NOT NULL CHECK (octet_length(body_hmac) = 32),
        application_id uuid NOT NULL REFERENCES application ON DELETE CASCADE,
        PRIMARY KEY (call_id, address_hmac, key)
    )
    """,
    "CREATE INDEX idempotency_of_application ON idempotency (application_id)",
    # No reference to the application: a fact that comes before it is known here is kept.
    """
    CREATE TABLE fact (
        application_id uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN (
            'admitted', 'inadmissible', 'scored', 'score_voided', 'awarded', 'waitlisted', 'not_selected',
            'convention_signed', 'started', 'completed', 'released', 'announced', 'notified',
            'accepted', 'declined', 'withdrawn')),
        sequence bigint NOT NULL CHECK (sequence >= 0),
        occurred_at timestamptz NOT NULL,
        sealed boolean NOT NULL,
        grant_id uuid,
        amount_eur bigint CHECK (amount_eur > 0),
        answer_by timestamptz,
        reason text,
        template text,
        PRIMARY KEY (application_id, kind, sequence),
        CHECK (kind <> 'awarded' OR num_nulls(grant_id, amount_eur, answer_by) = 0),
        CHECK (kind NOT IN ('accepted', 'declined') OR grant_id IS NOT NULL),
        CHECK (kind NOT IN ('accepted', 'declined', 'withdrawn') OR sequence = 0)
    )
    """,
    """
    CREATE TABLE laureate (
        application_id uuid PRIMARY KEY REFERENCES application,
        call_id text NOT NULL REFERENCES call,
        number int NOT NULL,
        amount_eur bigint NOT NULL CHECK (amount_eur > 0)
    )
    """,
    # Apart from the call, whose row every submission locks.
    """
    CREATE TABLE laureate_total (
        call_id text PRIMARY KEY REFERENCES call,
        laureates int NOT NULL DEFAULT 0 CHECK (laureates >= 0),
        amount_eur bigint NOT NULL DEFAULT 0 CHECK (amount_eur >= 0)
    )
    """,
    "CREATE UNIQUE INDEX laureate_of_call ON laureate (call_id, number)",
)


def upgrade(runtime_role: str | None = None) -> None:
    """Create the tables."""
    create_messaging_tables()
    for statement in TABLES:
        op.execute(statement)


def downgrade(runtime_role: str | None = None) -> None:
    """Drop them again."""
    for name in (
        "laureate_total", "laureate", "fact", "idempotency", "sign_in", "application", "applicant", "announcement",
        "round", "call_version", "call",
    ):  # fmt: skip
        op.execute(f"DROP TABLE {name}")
    drop_messaging_tables()
