"""Connections of dbt to PostgreSQL, for one node after the other: node ─▶ kept ─▶ next node.

dbt opens one for every node, and for each the server starts a process. Between two nodes a
connection is made as good as new; with the command all are closed.
"""

from collections.abc import Callable
from typing import Any

import psycopg2
import psycopg2.extensions
from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.postgres.connections import PostgresConnectionManager

dbt_opens: Callable[[Connection], Connection] = PostgresConnectionManager.open
dbt_closes: Callable[[Connection], None] = PostgresConnectionManager._close_handle
kept: list[Any] = []
"""Connections that no node uses; of one command, so all of one profile."""


def open_connection(connection: Connection) -> Connection:
    """`PostgresConnectionManager.open`: a kept connection if there is one, else dbt's own way."""
    while kept:
        handle = kept.pop()
        if _is_good_as_new(handle):
            connection.handle, connection.state = handle, ConnectionState.OPEN
            return connection
    return dbt_opens(connection)


def keep_connection(connection: Connection) -> None:
    """`_close_handle`: keeps it, unless it broke, or a profile makes it other than new."""
    handle, credentials = connection.handle, connection.credentials
    if credentials.role or credentials.autocommit or not _is_rolled_back(handle):
        dbt_closes(connection)
        return
    kept.append(handle)


def close_connections() -> None:
    """Leave none behind after a command: a server may stop, or a database go, before the next.

    Of DuckDB dbt would hold the file until the process ends, and nobody else could open it; so
    would the error of a command that failed, for it keeps what it was raised from.
    """
    while kept:
        kept.pop().close()
    opened: Any = DuckDBConnectionManager._ENV
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if opened is not None:
        opened.close()


def _is_rolled_back(handle: Any) -> bool:
    if not isinstance(handle, psycopg2.extensions.connection):
        return False
    try:
        handle.rollback()
    except psycopg2.Error:
        return False
    return True


def _is_good_as_new(handle: Any) -> bool:
    """Without the temporary tables, settings and plans of the node before; not if it broke."""
    try:
        handle.autocommit = True
        with handle.cursor() as cursor:
            cursor.execute("discard all")
        handle.autocommit = False
    except psycopg2.Error:
        handle.close()
        return False
    return True
