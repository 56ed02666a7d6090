"""Tokens of the API, who read what, and export jobs."""

import sqlalchemy as sa
from alembic import op

from ledger.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "ledger"
SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TABLES = ("api_tokens", "access_log", "export_jobs")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text),
        sa.Column("secret_hash", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("requests_per_minute", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("revoked_at", UtcDateTime),
        sa.Column("last_used_at", UtcDateTime),
        schema=SCHEMA,
    )
    op.create_table(
        "access_log",
        sa.Column("access_id", SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("token_id", sa.Text),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("row_count", sa.BigInteger),
        sa.Column("byte_count", sa.BigInteger),
        sa.Column("accessed_at", UtcDateTime, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("ix_access_log_accessed_at", "access_log", ["accessed_at"], schema=SCHEMA)
    op.create_table(
        "export_jobs",
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("compression", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("rows_done", sa.BigInteger, nullable=False),
        sa.Column("rows_total", sa.BigInteger, nullable=False),
        sa.Column("bytes_done", sa.BigInteger, nullable=False),
        sa.Column("rows_per_second", sa.Float),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("error", sa.Text),
        schema=SCHEMA,
    )
    op.create_index("ix_export_jobs_started_at", "export_jobs", ["started_at"], schema=SCHEMA)


def downgrade() -> None:
    """Drop them."""
    for table in reversed(TABLES):
        op.drop_table(table, schema=SCHEMA)
