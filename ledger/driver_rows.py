"""Rows written as the driver takes them, many in one statement.

Its text is kept by the number of rows: SQLAlchemy would spend more on each row (compiling, types)
than everything else that is done for it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Dialect, Table

from ledger.tables import SCHEMA, UtcDateTime


def insert_rows(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows, each in the order of `columns`; times are aware and in UTC."""
    dialect = connection.dialect
    if (stored := _stored_time(dialect)) is not None:
        times = [place for place, name in enumerate(columns) if _is_time(table, name)]
        rows = [_with_times(row, times, stored) for row in rows]
    statement = _insert(place_of(table, dialect), columns, mark_of(dialect), len(rows))
    connection.exec_driver_sql(statement, tuple(chain.from_iterable(rows)))


def mark_of(dialect: Dialect) -> str:
    """A place for a value in the text of a statement."""
    return "?" if dialect.paramstyle == "qmark" else "%s"


def place_of(table: Table, dialect: Dialect) -> str:
    """Name of a table of the ledger."""
    return table.name if dialect.name == "sqlite" else f"{SCHEMA}.{table.name}"


@cache
def _stored_time(dialect: Dialect) -> Callable[[datetime], Any] | None:
    """How the engine keeps a time, where its driver does not know by itself."""
    return UtcDateTime().dialect_impl(dialect).bind_processor(dialect)


def _is_time(table: Table, name: str) -> bool:
    return isinstance(table.c[name].type, UtcDateTime)


def _with_times(
    row: Sequence[Any], times: Sequence[int], stored: Callable[[datetime], Any]
) -> list[Any]:
    values = list(row)
    for place in times:
        values[place] = stored(values[place])
    return values


@lru_cache(1024)
def _insert(table: str, columns: tuple[str, ...], mark: str, rows: int) -> str:
    row = f"({', '.join([mark] * len(columns))})"
    return f"insert into {table} ({', '.join(columns)}) values {', '.join([row] * rows)}"
