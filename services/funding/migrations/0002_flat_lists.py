"""Gives each list that people and timers ask for an index in its own order, so that no look reads a whole round."""

from alembic import op

revision = "funding_0002"
down_revision = "funding_0001"
branch_labels = None
depends_on = None

INDEXES = {
    # Under `skip` a claim that cannot fit is passed over without reading its row.
    "application_waiting": (
        "application (round_id, rank, claim_eur) WHERE outcome = 'waitlisted' AND withdrawn_at IS NULL",
        "application (round_id, rank) WHERE outcome = 'waitlisted' AND withdrawn_at IS NULL",
    ),
    "application_open": ("application (round_id, application_id) WHERE open", "application (round_id) WHERE open"),
    # Nothing lapses before its round is announced, which may be 100,000 grants that every look would pass over.
    "award_lapsing": (
        "award (round_id, lapses_at, grant_id) WHERE lapses_at IS NOT NULL",
        "award (lapses_at) WHERE lapses_at IS NOT NULL",
    ),
    "application_ranked": ("application (round_id, rank) WHERE rank IS NOT NULL", None),
    "proposal_line_awarded": ("proposal_line (proposal_id, rank) WHERE outcome = 'awarded'", None),
}
"""By name: what it is from now on, and what it was before."""


def upgrade(runtime_role: str | None = None) -> None:
    for name, (now, before) in INDEXES.items():
        if before is not None:
            op.execute(f"DROP INDEX {name}")
        op.execute(f"CREATE INDEX {name} ON {now}")


def downgrade(runtime_role: str | None = None) -> None:
    for name, (_, before) in INDEXES.items():
        op.execute(f"DROP INDEX {name}")
        if before is not None:
            op.execute(f"CREATE INDEX {name} ON {before}")
