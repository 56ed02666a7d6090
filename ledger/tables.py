"""The ledger's tables (SQLAlchemy Core). `ledger` is a schema on PostgreSQL, a file on SQLite.

Changes go through a migration in `ledger/migrations/versions`; a test compares both.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

SCHEMA = "ledger"
metadata = MetaData(schema=SCHEMA)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on every engine (SQLite keeps no offset)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Any aware time becomes UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What comes back is UTC, whether the engine says so or not."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


pipeline_runs = Table(
    "pipeline_runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("command", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("error", Text),
)

sync_log = Table(
    "sync_log",
    metadata,
    Column("run_id", Text, ForeignKey(pipeline_runs.c.run_id), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("mode", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("duration_seconds", Float),
    Column("received", BigInteger, nullable=False, default=0),
    Column("landed", BigInteger, nullable=False, default=0),
    Column("duplicate", BigInteger, nullable=False, default=0),
    Column("dead", BigInteger, nullable=False, default=0),
    Column("deleted", BigInteger, nullable=False, default=0),
    Column("cursor_before", UtcDateTime),
    Column("cursor_after", UtcDateTime),
    Column("error", Text),
    Index("ix_sync_log_started_at", "started_at"),
)

circuit_breakers = Table(
    "circuit_breakers",
    metadata,
    Column("source", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("failure_count", Integer, nullable=False),
    Column("success_count", Integer, nullable=False),
    Column("opened_at", UtcDateTime),
)

# SQLite numbers rows by itself only where the key is an INTEGER.
Sequence = BigInteger().with_variant(Integer, "sqlite")

inbox = Table(
    "inbox",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("way_in", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("entity", Text),
    Column("is_deletion", Boolean, nullable=False),
    Column("body", LargeBinary),
    Column("body_hash", Text, nullable=False),
    Column("position", Text),
    Column("received_at", UtcDateTime, nullable=False),
    Column("status", Text, nullable=False),
    Column("batch_id", Text),
    Column("landed_at", UtcDateTime),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", UtcDateTime),
    Column("error", Text),
    Column("waiting_since", UtcDateTime),
    UniqueConstraint("source", "event_id", name="uq_inbox_source_event_id"),
    Index(
        "ix_inbox_waiting",
        "seq",
        sqlite_where=text("status = 'waiting'"),
        postgresql_where=text("status = 'waiting'"),
    ),
    Index("ix_inbox_batch_id", "batch_id"),
)

inbox_totals = Table(
    "inbox_totals",
    metadata,
    Column("way_in", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("landed_and_pruned", BigInteger, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("dead_letter_id", Text, primary_key=True),
    Column("way_in", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("entity", Text),
    Column("event_id", Text),
    Column("event_type", Text),
    Column("record_id", Text),
    Column("error", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("position", Text),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("status", Text, nullable=False),
    Column("replays", Integer, nullable=False),
    Column("last_replayed_at", UtcDateTime),
    Index("ix_dead_letters_status", "status", "first_seen_at"),
)

stream_positions = Table(
    "stream_positions",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("high_watermark", BigInteger, nullable=False),
    Column("lag", BigInteger, nullable=False),
    Column("observed_at", UtcDateTime, nullable=False),
)

publications = Table(
    "publications",
    metadata,
    Column("version", Sequence, primary_key=True, autoincrement=True),
    Column("run_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("audit", Text, nullable=False),
    Column("as_of", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("duration_seconds", Float),
    Index("ix_publications_created_at", "created_at"),
)

publication_tables = Table(
    "publication_tables",
    metadata,
    Column("version", BigInteger, primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("row_count", BigInteger, nullable=False),
)

quality_results = Table(
    "quality_results",
    metadata,
    Column("suite", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("since", UtcDateTime, primary_key=True),
    Column("table_name", Text),
    Column("column_name", Text),
    Column("status", Text, nullable=False),
    Column("failing_count", BigInteger, nullable=False),
    Column("observed", Text),
    Column("run_id", Text, nullable=False),
    Column("checked_at", UtcDateTime, nullable=False),
    Column("check_count", BigInteger, nullable=False),
)

quality_failures = Table(
    "quality_failures",
    metadata,
    Column("failure_id", Sequence, primary_key=True, autoincrement=True),
    Column("suite", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("table_name", Text),
    Column("failing_key", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("checked_at", UtcDateTime, nullable=False),
    Index("ix_quality_failures_rule", "suite", "rule"),
)

model_runs = Table(
    "model_runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("resource_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("duration_seconds", Float, nullable=False),
    Column("row_count", BigInteger),
    Column("message", Text),
    Index("ix_model_runs_started_at", "started_at"),
)

health_checks = Table(
    "health_checks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("is_healthy", Boolean, nullable=False),
    Column("value", Float),
    Column("threshold", Float),
    Column("unit", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("root_cause", Text, nullable=False),
    Column("advice", Text, nullable=False),
    Column("checked_at", UtcDateTime, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", Sequence, primary_key=True, autoincrement=True),
    Column("root_cause", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("channel", Text),
    Column("message", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("delivered_at", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Index("ix_alerts_root_cause", "root_cause", "created_at"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("account_id", Text),
    Column("secret_hash", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("requests_per_minute", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

access_log = Table(
    "access_log",
    metadata,
    Column("access_id", Sequence, primary_key=True, autoincrement=True),
    Column("token_id", Text),
    Column("path", Text, nullable=False),
    Column("account_id", Text),
    Column("status", Integer, nullable=False),
    Column("row_count", BigInteger),
    Column("byte_count", BigInteger),
    Column("accessed_at", UtcDateTime, nullable=False),
    Index("ix_access_log_accessed_at", "accessed_at"),
)

export_jobs = Table(
    "export_jobs",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("dataset", Text, nullable=False),
    Column("account_id", Text),
    Column("format", Text, nullable=False),
    Column("compression", Text),
    Column("version", BigInteger, nullable=False),
    Column("destination", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("rows_done", BigInteger, nullable=False),
    Column("rows_total", BigInteger, nullable=False),
    Column("bytes_done", BigInteger, nullable=False),
    Column("rows_per_second", Float),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("error", Text),
    Index("ix_export_jobs_started_at", "started_at"),
)
