"""Runs and syncs: who ran what, and received = landed + duplicate + dead for every entity.

A row is written when the work starts and completed when it ends, so that a killed run is visible:
the next run, which holds the lock and so knows that nobody else is at work, marks it interrupted.
"""

import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, insert, select, update

from ledger.tables import pipeline_runs, sync_log

INTERRUPTED = "the process ended early"
ENDED_BY_HAND = "ended by Ctrl-C or SIGTERM"
current_run_id: ContextVar[str | None] = ContextVar("current_run_id", default=None)
"""The run that this thread is in, for whoever writes a log."""


@dataclass
class SyncCounts:
    """What became of the records of one entity in one sync."""

    received: int = 0
    landed: int = 0
    duplicate: int = 0
    dead: int = 0
    deleted: int = 0
    """Records no longer served, marked as deleted; they were not received."""

    @property
    def balanced(self) -> bool:
        """The conservation law."""
        return self.received == self.landed + self.duplicate + self.dead

    def add(self, other: "SyncCounts") -> None:
        """Add the figures of a further pass."""
        self.received += other.received
        self.landed += other.landed
        self.duplicate += other.duplicate
        self.dead += other.dead
        self.deleted += other.deleted


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


@contextmanager
def recorded_run(ledger: Engine, command: str, target: str) -> Iterator[str]:
    """Record a run; gives its id. Call it with the run lock held."""
    run_id = uuid.uuid4().hex
    with ledger.begin() as connection:
        for table in (pipeline_runs, sync_log):
            connection.execute(
                update(table)
                .where(table.c.status == "running")
                .values(status="interrupted", finished_at=now(), error=INTERRUPTED)
            )
        connection.execute(
            insert(pipeline_runs).values(
                run_id=run_id,
                command=command,
                target=target,
                host=socket.gethostname(),
                pid=os.getpid(),
                status="running",
                started_at=now(),
            )
        )
    token = current_run_id.set(run_id)
    try:
        yield run_id
    except BaseException as error:
        reason = reason_of(error)
        _finish_run(ledger, run_id, status_of(reason), reason)
        raise
    finally:
        current_run_id.reset(token)
    _finish_run(ledger, run_id, status_of(None), None)


def reason_of(error: BaseException) -> str:
    """Why work ended, for its row."""
    if isinstance(error, KeyboardInterrupt):
        return ENDED_BY_HAND
    return str(error) or type(error).__name__


def status_of(reason: str | None) -> str:
    """Of work that ended, for this reason or well; who ends it by hand has seen nothing fail."""
    if reason == ENDED_BY_HAND:
        return "interrupted"
    return "failed" if reason else "succeeded"


def _finish_run(ledger: Engine, run_id: str, status: str, error: str | None) -> None:
    with ledger.begin() as connection:
        connection.execute(
            update(pipeline_runs)
            .where(pipeline_runs.c.run_id == run_id)
            .values(status=status, finished_at=now(), error=error)
        )


def start_sync(ledger: Engine, run_id: str, source: str, entity: str, mode: str) -> None:
    """Record that an entity's sync began."""
    with ledger.begin() as connection:
        connection.execute(
            insert(sync_log).values(
                run_id=run_id,
                source=source,
                entity=entity,
                mode=mode,
                status="running",
                started_at=now(),
            )
        )


def finish_sync(
    ledger: Engine,
    key: tuple[str, str, str],
    status: str,
    counts: SyncCounts,
    *,
    error: str | None = None,
    **values: Any,
) -> None:
    """Complete the row of (run id, source, entity)."""
    run_id, source, entity = key
    where = (
        (sync_log.c.run_id == run_id)
        & (sync_log.c.source == source)
        & (sync_log.c.entity == entity)
    )
    finished_at = now()
    with ledger.begin() as connection:
        started_at = connection.scalar(select(sync_log.c.started_at).where(where))
        duration = (finished_at - started_at).total_seconds() if started_at else None
        connection.execute(
            update(sync_log)
            .where(where)
            .values(
                status=status,
                finished_at=finished_at,
                duration_seconds=duration,
                received=counts.received,
                landed=counts.landed,
                duplicate=counts.duplicate,
                dead=counts.dead,
                deleted=counts.deleted,
                error=error,
                **values,
            )
        )


def recent_runs(ledger: Engine, limit: int = 10) -> Sequence[RowMapping]:
    """The newest runs first."""
    query = select(pipeline_runs).order_by(pipeline_runs.c.started_at.desc()).limit(limit)
    with ledger.connect() as connection:
        return connection.execute(query).mappings().all()


def syncs(ledger: Engine, run_id: str | None = None) -> Sequence[RowMapping]:
    """Syncs of one run, or the newest sync of every entity."""
    query = select(sync_log).order_by(sync_log.c.started_at.desc())
    if run_id is not None:
        query = query.where(sync_log.c.run_id == run_id)
    with ledger.connect() as connection:
        rows = connection.execute(query).mappings().all()
    newest = {(row["source"], row["entity"]): row for row in reversed(rows)}
    return list(newest.values())
