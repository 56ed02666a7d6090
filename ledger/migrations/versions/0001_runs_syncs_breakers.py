"""Runs, syncs and circuit breakers."""

import sqlalchemy as sa
from alembic import op

from ledger.tables import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "ledger"


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "pipeline_runs",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("error", sa.Text),
        schema=SCHEMA,
    )
    op.create_table(
        "sync_log",
        sa.Column("run_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.pipeline_runs.run_id")),
        sa.Column("source", sa.Text),
        sa.Column("entity", sa.Text),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("duration_seconds", sa.Float),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("landed", sa.BigInteger, nullable=False),
        sa.Column("duplicate", sa.BigInteger, nullable=False),
        sa.Column("dead", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger, nullable=False),
        sa.Column("cursor_before", UtcDateTime),
        sa.Column("cursor_after", UtcDateTime),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("run_id", "source", "entity"),
        schema=SCHEMA,
    )
    op.create_index("ix_sync_log_started_at", "sync_log", ["started_at"], schema=SCHEMA)
    op.create_table(
        "circuit_breakers",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("failure_count", sa.Integer, nullable=False),
        sa.Column("success_count", sa.Integer, nullable=False),
        sa.Column("opened_at", UtcDateTime),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("circuit_breakers", "sync_log", "pipeline_runs"):
        op.drop_table(table, schema=SCHEMA)
