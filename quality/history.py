"""What the ledger knows of former days: usual rows, newest syncs, published rows ─▶ rules.

Read once before a check and handed to it, so that a check itself opens the warehouse only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import Engine, select

from ledger.publications import PUBLISHED
from ledger.tables import publication_tables, publications, sync_log

DAY = timedelta(days=1)
DAYS = 14
"""Days that a usual day is the median of."""


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
    """What the ledger knows at `as_of`."""
    syncs = _complete_syncs(ledger, as_of)
    synced_at: dict[str, datetime] = {}
    by_day: dict[str, dict[int, int]] = {}
    for table, finished_at, rows in syncs:
        synced_at[table] = max(finished_at, synced_at.get(table, finished_at))
        age = (as_of - finished_at) // DAY
        if 1 <= age <= DAYS:
            days = by_day.setdefault(table, {})
            days[age] = days.get(age, 0) + rows
    usual = {
        table: Usual(float(median(days.values())), len(days)) for table, days in by_day.items()
    }
    return History(usual, synced_at, _published_rows(ledger, as_of))


def _complete_syncs(ledger: Engine, as_of: datetime) -> list[tuple[str, datetime, int]]:
    columns = sync_log.c
    query = select(
        columns.source, columns.entity, columns.finished_at, columns.landed + columns.deleted
    ).where(
        columns.status == "succeeded",
        columns.finished_at > as_of - (DAYS + 1) * DAY,
        columns.finished_at <= as_of,
    )
    with ledger.connect() as connection:
        rows = connection.execute(query).all()
    return [(f"raw.{source}__{entity}", at, int(landed)) for source, entity, at, landed in rows]


def _published_rows(ledger: Engine, as_of: datetime) -> dict[str, int]:
    """The newest version a day ago, and those since: a slow leak is seen like a sudden one."""
    columns = publications.c
    published = select(columns.version).where(
        columns.status == PUBLISHED, columns.created_at <= as_of
    )
    before = published.where(columns.created_at <= as_of - DAY)
    with ledger.connect() as connection:
        newest_before = connection.scalar(before.order_by(columns.version.desc()).limit(1))
        rows = connection.execute(
            select(publication_tables.c.table_name, publication_tables.c.row_count).where(
                publication_tables.c.version.in_(published),
                publication_tables.c.version >= (newest_before or 0),
            )
        ).all()
    most: dict[str, int] = {}
    for table, number in rows:
        most[table] = max(int(number), most.get(table, 0))
    return most
