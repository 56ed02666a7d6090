"""Publications: which version of the marts readers see, and what its audit said.

A row is written for every attempt: `published` with the version that readers see from then on, or
`rejected` with the reason, while readers keep the version before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from ledger.tables import publication_tables, publications

PUBLISHED = "published"
REJECTED = "rejected"
PASSED = "passed"


@dataclass(frozen=True)
class Publication:
    """One version of the marts."""

    version: int
    as_of: datetime
    """The moment the marts were built for."""
    created_at: datetime
    duration_seconds: float | None = field(default=None, compare=False)
    """How long it took to publish."""


def record_publication(
    connection: Connection, run_id: str, publication: Publication, rows: Mapping[str, int]
) -> None:
    """Keep a version that readers see from now on, with the rows of each `schema.table`."""
    _insert(connection, run_id, publication, PUBLISHED, PASSED)
    if rows:
        values = [
            {"version": publication.version, "table_name": name, "row_count": number}
            for name, number in rows.items()
        ]
        connection.execute(insert(publication_tables), values)


def record_rejection(
    connection: Connection, run_id: str, publication: Publication, reason: str
) -> None:
    """Keep that a version was refused, and why."""
    _insert(connection, run_id, publication, REJECTED, reason)


def _insert(
    connection: Connection, run_id: str, publication: Publication, status: str, audit: str
) -> None:
    values: dict[str, Any] = dict(vars(publication))
    connection.execute(
        insert(publications).values(run_id=run_id, status=status, audit=audit, **values)
    )


def next_version(connection: Connection) -> int:
    """One more than any version there was, published or rejected."""
    newest = select(publications.c.version).order_by(publications.c.version.desc()).limit(1)
    return int(connection.scalar(newest) or 0) + 1


def current_publication(ledger: Engine | Connection) -> Publication | None:
    """The version that readers see; None when nothing was published yet."""
    columns = publications.c
    query = (
        select(columns.version, columns.as_of, columns.created_at)
        .where(columns.status == PUBLISHED)
        .order_by(columns.version.desc())
        .limit(1)
    )
    if isinstance(ledger, Connection):
        row = ledger.execute(query).first()
    else:
        with ledger.connect() as connection:
            row = connection.execute(query).first()
    return None if row is None else Publication(*row)
