"""Owns the tables that every service's database has for its messages; migrations of the services call it."""

from alembic import op

TABLES = (
    """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        topic text NOT NULL,
        key text NOT NULL,
        event_id uuid NOT NULL,
        type text NOT NULL,
        sequence bigint NOT NULL CHECK (sequence > 0),
        time timestamptz NOT NULL,
        causation_id text NOT NULL,
        traceparent text NOT NULL,
        payload bytea CHECK (octet_length(payload) <= 524288)
    )
    """,
    """
    CREATE TABLE sequence_counter (
        topic text NOT NULL,
        key text NOT NULL,
        value bigint NOT NULL CHECK (value > 0),
        PRIMARY KEY (topic, key)
    )
    """,
    """
    CREATE TABLE inbox (
        consumer text NOT NULL,
        event_id uuid NOT NULL,
        PRIMARY KEY (consumer, event_id)
    )
    """,
    """
    CREATE TABLE halted_key (
        consumer text NOT NULL,
        topic text NOT NULL,
        key bytea NOT NULL,
        key_sha256 bytea NOT NULL GENERATED ALWAYS AS (sha256(key)) STORED,  -- a key may be too long for an index
        cause text NOT NULL CHECK (cause IN ('quarantined', 'unknown_type')),
        since timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, topic, key_sha256)
    )
    """,
    """
    CREATE TABLE parked_record (
        consumer text NOT NULL,
        topic text NOT NULL,
        partition int NOT NULL,
        "offset" bigint NOT NULL,
        key bytea NOT NULL,
        key_sha256 bytea NOT NULL GENERATED ALWAYS AS (sha256(key)) STORED,
        value bytea,
        headers bytea NOT NULL,
        timestamp_ms bigint NOT NULL,
        parked_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, topic, partition, "offset")
    )
    """,
    'CREATE INDEX parked_record_by_key ON parked_record (consumer, topic, key_sha256, partition, "offset")',
    """
    CREATE TABLE dead_letter (
        id uuid PRIMARY KEY,
        consumer text NOT NULL,
        topic text NOT NULL,
        partition int NOT NULL,
        "offset" bigint NOT NULL,
        key bytea,
        key_sha256 bytea GENERATED ALWAYS AS (sha256(key)) STORED,
        value bytea,
        headers bytea NOT NULL,
        timestamp_ms bigint NOT NULL,
        event_id text,
        reason text NOT NULL,
        attempts int NOT NULL CHECK (attempts > 0),
        quarantined_at timestamptz NOT NULL DEFAULT now(),
        replayed_at timestamptz,
        replayed_by text,
        UNIQUE (consumer, topic, partition, "offset")
    )
    """,
    "CREATE INDEX dead_letter_open ON dead_letter (consumer, topic, key_sha256) WHERE replayed_at IS NULL",
)


def create_messaging_tables() -> None:
    """Create the outbox, inbox and quarantine tables; called by the first migration of each service."""
    for statement in TABLES:
        op.execute(statement)


def drop_messaging_tables() -> None:
    """Undo create_messaging_tables."""
    for name in ("dead_letter", "parked_record", "halted_key", "inbox", "sequence_counter", "outbox"):
        op.execute(f"DROP TABLE {name}")
