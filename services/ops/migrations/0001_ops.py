"""Creates the index of events: one row for each record of each topic that ops may read, broken ones included."""

from alembic import op

from shared.messaging.schema import create_messaging_tables, drop_messaging_tables

revision = "ops_0001"
down_revision = None
branch_labels = None
depends_on = None

EVENT = """
CREATE TABLE event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition int NOT NULL CHECK (partition >= 0),
    "offset" bigint NOT NULL CHECK ("offset" >= 0),
    key text NOT NULL,
    type text NOT NULL,
    event_id text NOT NULL,
    sequence bigint CHECK (sequence > 0),
    causation_id text NOT NULL,
    time timestamptz,
    recorded_at timestamptz NOT NULL,
    indexed_at timestamptz NOT NULL DEFAULT now(),
    call_id text,
    reference text,
    problem text,
    headers text NOT NULL,
    payload text,
    UNIQUE (topic, partition, "offset"),
    -- What can be read has everything; of what cannot, no byte of the value is kept: it may hold anything.
    CHECK (problem IS NOT NULL OR num_nulls(sequence, time, payload) = 0),
    CHECK (problem IS NULL OR payload IS NULL)
)
"""
INDEXES = (
    "CREATE INDEX event_by_key ON event (key, id)",
    "CREATE INDEX event_by_type ON event (type, id)",
    "CREATE INDEX event_by_time ON event (time, id)",
    "CREATE INDEX event_by_call ON event (call_id, id) WHERE call_id IS NOT NULL",
    "CREATE INDEX event_by_reference ON event (lower(reference)) WHERE reference IS NOT NULL",
    "CREATE INDEX event_broken ON event (id) WHERE problem IS NOT NULL",
)


def upgrade(runtime_role: str | None = None) -> None:
    """Create the tables; the index only grows."""
    create_messaging_tables()
    for statement in (EVENT, *INDEXES):
        op.execute(statement)
    owner = op.get_bind().exec_driver_sql("SELECT current_user").scalar()
    if runtime_role and runtime_role != owner:
        role = op.get_bind().dialect.identifier_preparer.quote_identifier(runtime_role)
        op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON event FROM {role}")


def downgrade(runtime_role: str | None = None) -> None:
    """Drop the tables."""
    op.execute("DROP TABLE event")
    drop_messaging_tables()
