"""Publications, quality, model runs, health checks and alerts."""

import sqlalchemy as sa
from alembic import op

from ledger.tables import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "ledger"
SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TABLES = (
    "publications",
    "publication_tables",
    "quality_results",
    "quality_failures",
    "model_runs",
    "health_checks",
    "alerts",
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "publications",
        sa.Column("version", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("audit", sa.Text, nullable=False),
        sa.Column("as_of", UtcDateTime, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("duration_seconds", sa.Float),
        schema=SCHEMA,
    )
    op.create_index("ix_publications_created_at", "publications", ["created_at"], schema=SCHEMA)
    op.create_table(
        "publication_tables",
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "quality_results",
        sa.Column("suite", sa.Text, primary_key=True),
        sa.Column("rule", sa.Text, primary_key=True),
        sa.Column("since", UtcDateTime, primary_key=True),
        sa.Column("table_name", sa.Text),
        sa.Column("column_name", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("failing_count", sa.BigInteger, nullable=False),
        sa.Column("observed", sa.Text),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("checked_at", UtcDateTime, nullable=False),
        sa.Column("check_count", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "quality_failures",
        sa.Column("failure_id", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("suite", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("table_name", sa.Text),
        sa.Column("failing_key", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("checked_at", UtcDateTime, nullable=False),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_quality_failures_rule", "quality_failures", ["suite", "rule"], schema=SCHEMA
    )
    op.create_table(
        "model_runs",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("node", sa.Text, primary_key=True),
        sa.Column("resource_type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("duration_seconds", sa.Float, nullable=False),
        sa.Column("row_count", sa.BigInteger),
        sa.Column("message", sa.Text),
        schema=SCHEMA,
    )
    op.create_index("ix_model_runs_started_at", "model_runs", ["started_at"], schema=SCHEMA)
    op.create_table(
        "health_checks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("is_healthy", sa.Boolean, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("threshold", sa.Float),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("root_cause", sa.Text, nullable=False),
        sa.Column("advice", sa.Text, nullable=False),
        sa.Column("checked_at", UtcDateTime, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("root_cause", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("delivered_at", UtcDateTime),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        schema=SCHEMA,
    )
    op.create_index("ix_alerts_root_cause", "alerts", ["root_cause", "created_at"], schema=SCHEMA)


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.drop_table(table, schema=SCHEMA)
