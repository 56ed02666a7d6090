"""What the ledger knows of former days: usual rows, newest syncs, published rows ─▶ rules.

Read once before a check and handed to it, so that a check itself opens the warehouse only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median

from sqlalchemy import Connection, Engine, func, select

from ledger.publications import PUBLISHED
from ledger.tables import publication_tables, publications, sync_log

DAY = timedelta(days=1)
SUCCEEDED = "succeeded"
DAYS = 14
"""Days that a usual day is the median of."""
SHRUNK = "__has_the_rows_of_the_day_before"
"""End of the names of rules that compare a mart with the versions of the last day."""
ACCEPT_SHRUNK = (
    "to accept fewer rows, raise shrink_max_ratio in seeds/quality_thresholds.csv until it is "
    "published"
)


@dataclass(frozen=True)
class Usual:
    """A usual day of one raw table, by what was pulled."""

    rows: float
    """Median of the days with a complete sync."""
    days: int
    """How many such days there were."""


@dataclass(frozen=True)
class History:
    """Former days, by table (`raw.commerce__orders`, `core.fct_sales`)."""

    usual: Mapping[str, Usual] = field(default_factory=dict)
    synced_at: Mapping[str, datetime] = field(default_factory=dict)
    """When the newest complete sync of a raw table ended."""
    published_rows: Mapping[str, int] = field(default_factory=dict)
    """Most rows that a mart had in the versions of the last day, or in the newest one before."""


def read_history(ledger: Engine, as_of: datetime) -> History:
    """What the ledger knows at `as_of`; summed there, for a service syncs and publishes often."""
    midnight = as_of.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with ledger.connect() as connection:
        return History(
            _usual(connection, midnight),
            _synced_at(connection, as_of),
            _published_rows(connection, as_of),
        )


def _usual(connection: Connection, midnight: datetime) -> dict[str, Usual]:
    """Whole days only: today is not over."""
    columns = sync_log.c
    query = (
        select(columns.source, columns.entity, func.sum(columns.landed + columns.deleted))
        .where(
            columns.status == SUCCEEDED,
            columns.finished_at >= midnight - DAYS * DAY,
            columns.finished_at < midnight,
        )
        .group_by(columns.source, columns.entity, func.date(columns.finished_at))
    )
    by_table: dict[str, list[int]] = {}
    for source, entity, rows in connection.execute(query):
        by_table.setdefault(f"raw.{source}__{entity}", []).append(int(rows))
    return {table: Usual(float(median(rows)), len(rows)) for table, rows in by_table.items()}


def _synced_at(connection: Connection, as_of: datetime) -> dict[str, datetime]:
    columns = sync_log.c
    query = (
        select(columns.source, columns.entity, func.max(columns.finished_at))
        .where(columns.status == SUCCEEDED, columns.finished_at <= as_of)
        .group_by(columns.source, columns.entity)
    )
    return {f"raw.{source}__{entity}": at for source, entity, at in connection.execute(query)}


def _published_rows(connection: Connection, as_of: datetime) -> dict[str, int]:
    """The newest version a day ago, and those since: a slow leak is seen like a sudden one."""
    columns, tables = publications.c, publication_tables.c
    published = select(columns.version).where(
        columns.status == PUBLISHED, columns.created_at <= as_of
    )
    before = published.where(columns.created_at <= as_of - DAY)
    newest_before = connection.scalar(before.order_by(columns.version.desc()).limit(1))
    query = (
        select(tables.table_name, func.max(tables.row_count))
        .where(tables.version.in_(published), tables.version >= (newest_before or 0))
        .group_by(tables.table_name)
    )
    return {table: int(rows) for table, rows in connection.execute(query)}
