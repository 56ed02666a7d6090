"""Export jobs: what is being exported, how far it is, and how it ended."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, RowMapping, insert, select, update

from ledger.tables import export_jobs

RUNNING, DONE, FAILED = "running", "done", "failed"


@dataclass(frozen=True)
class JobTitle:
    """What a job exports, and where to."""

    dataset: str
    account_id: str | None
    format: str
    compression: str | None
    version: int
    destination: str


class ExportJob:
    """One job; its row is written when it starts, moves on and ends."""

    def __init__(self, ledger: Engine, title: JobTitle, rows_total: int) -> None:
        self.job_id = uuid4().hex
        self._ledger = ledger
        self._start = time.monotonic()
        self._rows_before = 0
        values = vars(title) | {"job_id": self.job_id, "status": RUNNING, "rows_total": rows_total}
        values |= {"rows_done": 0, "bytes_done": 0, "started_at": datetime.now(UTC)}
        with ledger.begin() as connection:
            connection.execute(insert(export_jobs).values(**values))

    def resumed_at(self, rows: int) -> None:
        """Rows that an earlier job had done do not count for the rate."""
        self._rows_before = rows

    def moved(self, rows: int, size: int) -> None:
        """So many rows and bytes are done."""
        self._update(rows_done=rows, bytes_done=size, rows_per_second=self._rate(rows))

    def done(self, rows: int, size: int) -> None:
        """Everything is; now it is known how many rows that are."""
        rate = self._rate(rows)
        self._update(
            rows_done=rows,
            rows_total=rows,
            bytes_done=size,
            rows_per_second=rate,
            status=DONE,
            finished_at=datetime.now(UTC),
        )

    def failed(self, error: str) -> None:
        """It ended early, and why."""
        self._update(status=FAILED, finished_at=datetime.now(UTC), error=error)

    def _rate(self, rows: int) -> float:
        return (rows - self._rows_before) / max(time.monotonic() - self._start, 1e-6)

    def _update(self, **values: Any) -> None:
        change = update(export_jobs).where(export_jobs.c.job_id == self.job_id).values(**values)
        with self._ledger.begin() as connection:
            connection.execute(change)


def recent_jobs(ledger: Engine, limit: int = 20) -> list[RowMapping]:
    """Newest first."""
    query = select(export_jobs).order_by(export_jobs.c.started_at.desc()).limit(limit)
    with ledger.connect() as connection:
        return list(connection.execute(query).mappings())


def find_job(ledger: Engine, job_id: str) -> RowMapping | None:
    """One job; None when there is none of this id."""
    with ledger.connect() as connection:
        query = select(export_jobs).where(export_jobs.c.job_id == job_id)
        return connection.execute(query).mappings().first()
