"""Shows the ledger to SQL: the ledger's newest rows ─▶ `raw.ledger__<table>`, read by dbt.

Models of `operations` are views over these tables, so they are as new as the mirror. What a person
may not see (bodies, payloads) stays in the ledger.
"""

from dataclasses import dataclass

from sqlalchemy import Select, Table, select

from ledger.tables import (
    alerts,
    dead_letters,
    health_checks,
    model_runs,
    pipeline_runs,
    publications,
    quality_failures,
    quality_results,
    sync_log,
)

HISTORY_ROWS = 5000
"""Newest rows of a table that grows with every cycle; all of it is in the ledger."""
PRIVATE = {"payload", "host", "pid"}


@dataclass(frozen=True)
class Mirrored:
    """One table of the ledger, the column that orders it by age, and how many rows are shown."""

    table: Table
    newest_by: str
    rows: int | None = HISTORY_ROWS

    @property
    def name(self) -> str:
        """Name below `raw`."""
        return f"ledger__{self.table.name}"

    @property
    def columns(self) -> list[str]:
        """What is shown."""
        return [column.name for column in self.table.columns if column.name not in PRIVATE]

    def query(self) -> Select[tuple[object, ...]]:
        """The rows shown."""
        columns = [self.table.c[name] for name in self.columns]
        return select(*columns).order_by(self.table.c[self.newest_by].desc()).limit(self.rows)


MIRRORED = (
    Mirrored(pipeline_runs, "started_at"),
    Mirrored(sync_log, "started_at"),
    Mirrored(publications, "version"),
    Mirrored(quality_results, "since"),
    Mirrored(quality_failures, "failure_id", rows=None),
    Mirrored(model_runs, "started_at"),
    Mirrored(health_checks, "name", rows=None),
    Mirrored(dead_letters, "first_seen_at", rows=None),
    Mirrored(alerts, "alert_id"),
)
