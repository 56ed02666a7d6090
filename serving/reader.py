"""Reads the published marts: settings ─▶ one audited version, whole, for as long as it is open.

DuckDB: `<home>/published.duckdb` points at the file of the current version; the file itself is
opened, so that a publication meanwhile changes nothing. PostgreSQL: one read-only transaction with
one snapshot. Neither waits for a build, nor makes one wait.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb
import psycopg2

from ledger.errors import NotPublishedError, TargetError
from ledger.publications import Publication
from ledger.settings import Settings

CURRENT = """
select version, as_of, created_at from operations.publications
where status = 'published' order by version desc limit 1
"""
NOTHING = "nothing is published yet; run `warehouse run`, or `warehouse publish` after a build"


@dataclass(frozen=True)
class Reader:
    """One version of the marts, open. `connection` is DuckDB's or psycopg2's."""

    publication: Publication
    connection: Any
    engine: str
    """`duckdb` or `postgres`."""

    def fetch(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query with `?` parameters."""
        return _fetch(self.connection, query, parameters)

    def fetch_named(
        self, query: str, parameters: Sequence[Any] = ()
    ) -> tuple[list[tuple[Any, ...]], list[str]]:
        """Rows of a query, and the names of its columns."""
        if self.engine == "duckdb":
            cursor = self.connection.execute(query, list(parameters))
            return list(cursor.fetchall()), [column[0] for column in cursor.description]
        with self.connection.cursor() as cursor:
            cursor.execute(query.replace("%", "%%").replace("?", "%s"), tuple(parameters))
            return list(cursor.fetchall()), [column.name for column in cursor.description]


@contextmanager
def open_published(settings: Settings) -> Iterator[Reader]:
    """The current version, whole, until the context ends.

    Raises:
        NotPublishedError: there is none yet.
        TargetError: the database cannot be opened.
    """
    connection = connect_published(settings)
    try:
        yield Reader(current_version(connection), connection, settings.engine_name)
    finally:
        connection.close()


def connect_duckdb(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A DuckDB file, with times in UTC."""
    connection = duckdb.connect(str(path), read_only=read_only)
    # Not at the opening: the setting belongs to an extension that is loaded by it.
    connection.execute("set TimeZone = 'UTC'")
    # It would be printed between the rows of an export to standard output.
    connection.execute("set enable_progress_bar = false")
    return connection


def connect_published(settings: Settings) -> Any:
    """A connection to the current version: DuckDB's or psycopg2's."""
    try:
        if settings.postgres_url is not None:
            connection = psycopg2.connect(**settings.postgres_parameters())
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connection.cursor() as cursor:
                cursor.execute("set time zone 'UTC'")
            return connection
        if not settings.published_path.exists():
            raise NotPublishedError(NOTHING)
        return connect_duckdb(settings.published_path.resolve(), read_only=True)
    except (duckdb.Error, psycopg2.Error) as error:
        reason = str(error).strip().splitlines()[0]
        raise TargetError(f"cannot open the published marts: {reason}") from error


def current_version(connection: Any) -> Publication:
    """The version that a connection sees."""
    try:
        rows = _fetch(connection, CURRENT, ())
    except (duckdb.CatalogException, psycopg2.errors.UndefinedTable):
        rows = []
    if not rows:
        raise NotPublishedError(NOTHING)
    return publication_of(rows[0])


def publication_of(row: Sequence[Any]) -> Publication:
    """A row of `CURRENT`; its times are UTC, whether the column says so or not."""
    version, *moments = row
    as_of, created_at = (
        moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        for moment in moments
    )
    return Publication(version, as_of, created_at)


def _fetch(connection: Any, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    if isinstance(connection, duckdb.DuckDBPyConnection):
        return list(connection.execute(query, list(parameters)).fetchall())
    with connection.cursor() as cursor:
        cursor.execute(query.replace("%", "%%").replace("?", "%s"), tuple(parameters))
        return list(cursor.fetchall())
