"""Publishes the marts: built and audited ─▶ one version that readers see whole, or not at all.

Call it with the run lock held. Killed at any point, readers see the version before or the new one,
and the next publication heals what is left: on DuckDB the link to the file decides, on PostgreSQL
the transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import duckdb
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from ledger.errors import TargetError
from ledger.publications import (
    Publication,
    current_publication,
    next_version,
    record_rejection,
)
from ledger.runs import now
from ledger.settings import Settings
from serving import publish_duckdb, publish_postgres


def publish(settings: Settings, ledger: Engine, run_id: str, as_of: datetime) -> Publication:
    """Show readers what the build has made; `as_of` is the moment it was built for.

    Raises:
        TargetError: the database cannot be read or written; readers keep what they have.
    """
    with _foreseen():
        if settings.postgres_url is None:
            return publish_duckdb.publish(settings, ledger, run_id, as_of)
        return publish_postgres.publish(ledger, run_id, as_of)


def reject(ledger: Engine, run_id: str, as_of: datetime, reason: str) -> Publication:
    """Record that this build does not reach readers, and why."""
    with ledger.begin() as connection:
        rejected = Publication(next_version(connection), as_of, now())
        record_rejection(connection, run_id, rejected, reason)
    return rejected


def refresh_operations(settings: Settings, ledger: Engine) -> None:
    """Show readers how the pipeline is, beside marts that stay as they are.

    Raises:
        TargetError: the database cannot be read or written.
    """
    with _foreseen():
        if settings.postgres_url is not None:
            publish_postgres.refresh_operations(ledger)
        elif current_publication(ledger) is not None:
            publish_duckdb.refresh_operations(settings, ledger)


def clean_published(settings: Settings) -> None:
    """Remove copies that nobody is shown any more, and what a crash left behind."""
    if settings.postgres_url is None and settings.published_path.exists():
        publish_duckdb.clean(settings)


@contextmanager
def _foreseen() -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, DBAPIError, OSError) as error:
        origin = getattr(error, "orig", None) or error
        reason = str(origin).strip().splitlines()[0]
        raise TargetError(
            f"the marts could not be published: {reason}; readers keep a whole version"
        ) from error
