"""The inbox of pushed events, dead letters of every way in, and positions in the stream."""

import sqlalchemy as sa
from alembic import op

from ledger.tables import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "ledger"
WAITING = sa.text("status = 'waiting'")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "inbox",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("way_in", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("entity", sa.Text),
        sa.Column("is_deletion", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("body_hash", sa.Text, nullable=False),
        sa.Column("position", sa.Text),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("batch_id", sa.Text),
        sa.Column("landed_at", UtcDateTime),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", UtcDateTime),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("source", "event_id", name="uq_inbox_source_event_id"),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_inbox_waiting",
        "inbox",
        ["seq"],
        schema=SCHEMA,
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_index("ix_inbox_batch_id", "inbox", ["batch_id"], schema=SCHEMA)
    op.create_table(
        "inbox_totals",
        sa.Column("way_in", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("duplicate", sa.BigInteger, nullable=False),
        sa.Column("landed_and_pruned", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "dead_letters",
        sa.Column("dead_letter_id", sa.Text, primary_key=True),
        sa.Column("way_in", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("entity", sa.Text),
        sa.Column("event_id", sa.Text),
        sa.Column("event_type", sa.Text),
        sa.Column("record_id", sa.Text),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("position", sa.Text),
        sa.Column("first_seen_at", UtcDateTime, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("replays", sa.Integer, nullable=False),
        sa.Column("last_replayed_at", UtcDateTime),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_dead_letters_status", "dead_letters", ["status", "first_seen_at"], schema=SCHEMA
    )
    op.create_table(
        "stream_positions",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("high_watermark", sa.BigInteger, nullable=False),
        sa.Column("lag", sa.BigInteger, nullable=False),
        sa.Column("observed_at", UtcDateTime, nullable=False),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("stream_positions", "dead_letters", "inbox_totals", "inbox"):
        op.drop_table(table, schema=SCHEMA)
