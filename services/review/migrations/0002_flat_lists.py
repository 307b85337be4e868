"""Gives the pages of a round's progress an index in their own order, so that no page reads a whole round."""

from alembic import op

revision = "review_0002"
down_revision = "review_0001"
branch_labels = None
depends_on = None


def upgrade(runtime_role: str | None = None) -> None:
    op.execute("DROP INDEX application_of_round")
    op.execute("CREATE INDEX application_of_round ON application (round_id, state, application_id)")


def downgrade(runtime_role: str | None = None) -> None:
    op.execute("DROP INDEX application_of_round")
    op.execute("CREATE INDEX application_of_round ON application (round_id, state, submitted_at, application_id)")
