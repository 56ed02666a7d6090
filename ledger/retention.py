"""Retention of the ledger: how long what is told is kept.

The law received = landed + duplicate + dead + waiting holds over what is left: a row of `sync_log`
that goes takes its four figures with it. What waits, open letters, the version that readers see,
the newest verdict of every rule and what was last said of every root cause are never touched.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select

from ledger.alerts import newest_alerts
from ledger.publications import current_publication
from ledger.quality import newest_results
from ledger.tables import (
    access_log,
    alerts,
    dead_letters,
    export_jobs,
    model_runs,
    pipeline_runs,
    publication_tables,
    publications,
    quality_results,
    sync_log,
)

DAYS = {
    "model_runs": 14,
    "sync_log": 90,
    "pipeline_runs": 90,
    "publications": 90,
    "publication_tables": 90,
    "quality_results": 90,
    "alerts": 90,
    "dead_letters": 90,
    "access_log": 90,
    "export_jobs": 90,
}


def outdated(connection: Connection, at: datetime) -> dict[Table, ColumnElement[bool]]:
    """What may go, in an order that breaks no reference."""
    limit = {name: at - timedelta(days=days) for name, days in DAYS.items()}
    current = current_publication(connection)
    version = current.version if current else 0
    newest = [row["since"] for row in newest_results(connection)]
    # A fault may last for longer: without its row it would be told again, and its end never.
    last_said = [row["alert_id"] for row in newest_alerts(connection)]
    old_publications = (publications.c.created_at < limit["publications"]) & (
        publications.c.version != version
    )
    kept_versions = select(publications.c.version).where(~old_publications)
    old_runs = pipeline_runs.c.started_at < limit["pipeline_runs"]
    used_runs = select(sync_log.c.run_id).where(sync_log.c.started_at >= limit["sync_log"])
    return {
        model_runs: model_runs.c.started_at < limit["model_runs"],
        sync_log: sync_log.c.started_at < limit["sync_log"],
        pipeline_runs: old_runs & pipeline_runs.c.run_id.not_in(used_runs),
        publication_tables: publication_tables.c.version.not_in(kept_versions),
        publications: old_publications,
        quality_results: (quality_results.c.checked_at < limit["quality_results"])
        & quality_results.c.since.not_in(newest),
        alerts: (alerts.c.created_at < limit["alerts"]) & alerts.c.alert_id.not_in(last_said),
        # Others wait for somebody to decide, or are part of the balance.
        dead_letters: (dead_letters.c.status == "closed")
        & (dead_letters.c.first_seen_at < limit["dead_letters"]),
        access_log: access_log.c.accessed_at < limit["access_log"],
        export_jobs: export_jobs.c.started_at < limit["export_jobs"],
    }


def count_outdated(connection: Connection, at: datetime) -> dict[str, int]:
    """Rows that may go, by table."""
    return {
        table.name: connection.scalar(select(func.count()).select_from(table).where(where)) or 0
        for table, where in outdated(connection, at).items()
    }


def delete_outdated(connection: Connection, at: datetime) -> dict[str, int]:
    """Let them go; gives the rows by table."""
    return {
        table.name: connection.execute(delete(table).where(where)).rowcount
        for table, where in outdated(connection, at).items()
    }
