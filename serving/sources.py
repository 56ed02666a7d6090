"""Rows of a dataset, part by part: a published version ─▶ text files or Arrow tables.

A part is a range of the table as it is stored (DuckDB's rowid, PostgreSQL's ctid), in that order.
Within a version neither changes, so a part has the same bytes whenever and by whomever it is
made; and a part fits in memory, whatever the table's size. The engines write the text: row-by-row
Python runs at a tenth of their rate. What PostgreSQL does slowly (JSON) or not at all (Arrow) is
done by a DuckDB in memory from PostgreSQL's CSV.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import duckdb
import psycopg2
import pyarrow as pa

from serving.datasets import Column, Dataset
from serving.reader import Reader

PART_ROWS = 2 * 122_880
"""Two row groups of DuckDB: enough for two threads."""
PART_BLOCKS = 4_096
"""32 MB of a PostgreSQL table."""
FORMULA = "('=', '+', '-', '@', chr(9), chr(13))"
CSV_OPTIONS = "format csv, header false, delimiter ',', quote '\"', escape '\"'"


class Source(Protocol):
    """A dataset of an open version, for one account or all."""

    part_count: int

    def count(self) -> int:
        """Rows of all parts."""

    def csv(self, part: int, path: Path) -> int:
        """Write a part without header; gives its rows."""

    def jsonl(self, part: int, path: Path) -> int:
        """Write a part, one object a line; gives its rows."""

    def arrow(self, part: int, folder: Path) -> pa.Table:
        """A part in memory; `folder` takes what is written in between."""


def open_source(reader: Reader, dataset: Dataset, account_id: str | None, *, guard: bool) -> Source:
    """The source of a dataset; `guard` protects CSV from being read as formulas."""
    if reader.engine == "duckdb":
        return DuckDbSource(reader, dataset, account_id, guard=guard)
    return PostgresSource(reader, dataset, account_id, guard=guard)


class DuckDbSource:
    """Parts of a published DuckDB file."""

    def __init__(
        self, reader: Reader, dataset: Dataset, account_id: str | None, *, guard: bool
    ) -> None:
        self._connection = reader.connection
        self._dataset = dataset
        self._guard = guard
        self._condition = ""
        if account_id is not None and dataset.scope is not None:
            # COPY takes no parameters, a variable does.
            self._connection.execute("set variable account_id = ?", [account_id])
            self._condition = dataset.scope.format("getvariable('account_id')")
        last = self._connection.execute(f"select max(rowid) from {dataset.table}").fetchone()[0]
        self.part_count = 1 if last is None else last // PART_ROWS + 1

    def count(self) -> int:
        """Rows of all parts."""
        where = f" where {self._condition}" if self._condition else ""
        query = f"select count(*) from {self._dataset.table} as base{where}"
        return int(self._connection.execute(query).fetchone()[0])

    def csv(self, part: int, path: Path) -> int:
        """Write a part without header; gives its rows."""
        select = self._select(part, lambda column: _text(column, guard=self._guard))
        return _copy(self._connection, select, path, CSV_OPTIONS)

    def jsonl(self, part: int, path: Path) -> int:
        """Write a part, one object a line; gives its rows."""
        return _copy(self._connection, self._select(part, _json), path, "format json")

    def arrow(self, part: int, folder: Path) -> pa.Table:
        """A part in memory; `folder` takes what is written in between."""
        select = self._select(part, lambda one: f"cast({one.expression} as {_arrow_type(one)})")
        return self._connection.execute(select).to_arrow_table()

    def _select(self, part: int, expression: Callable[[Column], str]) -> str:
        columns = ", ".join(f"{expression(one)} as {one.name}" for one in self._dataset.columns)
        begin = part * PART_ROWS
        where = f"base.rowid >= {begin} and base.rowid < {begin + PART_ROWS}"
        if self._condition:
            where += f" and {self._condition}"
        return f"select {columns} from {self._dataset.source} where {where} order by base.rowid"


class PostgresSource:
    """Parts of the published schemas, in the reader's one transaction."""

    def __init__(
        self, reader: Reader, dataset: Dataset, account_id: str | None, *, guard: bool
    ) -> None:
        self._cursor = reader.connection.cursor()
        self._dataset = dataset
        self._guard = guard
        self._memory = duckdb.connect()
        self._memory.execute("set TimeZone = 'UTC'")
        self._condition = "true"
        if account_id is not None and dataset.scope is not None:
            literal = psycopg2.extensions.adapt(account_id)
            literal.prepare(reader.connection)
            self._condition = dataset.scope.format(literal.getquoted().decode())
        # A part is sorted in memory. Scans that join another's would begin in the middle.
        for setting in ("work_mem = '64MB'", "synchronize_seqscans = off", "datestyle = 'ISO'"):
            self._cursor.execute(f"set local {setting}")
        self._cursor.execute(
            "select pg_relation_size(%s::regclass) / current_setting('block_size')::int",
            [dataset.table],
        )
        self.part_count = self._value() // PART_BLOCKS + 1

    def count(self) -> int:
        """Rows of all parts."""
        self._cursor.execute(
            f"select count(*) from {self._dataset.table} as base where {self._condition}"
        )
        return self._value()

    def csv(self, part: int, path: Path) -> int:
        """Write a part without header; gives its rows."""
        return self._csv(part, path, guard=self._guard)

    def jsonl(self, part: int, path: Path) -> int:
        """Write a part, one object a line; gives its rows."""
        csv = self._between(part, path.parent)
        numbers = ("BIGINT", "INTEGER", "SMALLINT", "BOOLEAN", "DOUBLE")
        read = self._read(csv, lambda one: one.type if one.type in numbers else "VARCHAR")
        try:
            return _copy(self._memory, f"select * from {read}", path, "format json")
        finally:
            csv.unlink()

    def arrow(self, part: int, folder: Path) -> pa.Table:
        """A part in memory; `folder` takes what is written in between."""
        csv = self._between(part, folder)
        read = self._read(csv, _arrow_type)
        try:
            return self._memory.execute(f"select * from {read}").to_arrow_table()
        finally:
            csv.unlink()

    def _between(self, part: int, folder: Path) -> Path:
        path = folder / f"{part}.from-postgres"
        self._csv(part, path, guard=False)
        return path

    def _csv(self, part: int, path: Path, *, guard: bool) -> int:
        columns = ", ".join(
            f"{_text(one, guard=guard)} as {one.name}" for one in self._dataset.columns
        )
        begin = part * PART_BLOCKS
        select = (
            f"select {columns} from {self._dataset.source} where base.ctid >= '({begin},0)'"
            f" and base.ctid < '({begin + PART_BLOCKS},0)' and {self._condition}"
            " order by base.ctid"
        )
        with path.open("wb", buffering=1 << 20) as file:
            self._cursor.copy_expert(f"copy ({select}) to stdout with (format csv)", file)
        return int(self._cursor.rowcount)

    def _read(self, csv: Path, type_of: Callable[[Column], str]) -> str:
        columns = ", ".join(f"'{one.name}': '{type_of(one)}'" for one in self._dataset.columns)
        return (
            f"read_csv({_quoted(csv)}, header = false, auto_detect = false, delim = ',',"
            " quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false,"
            f" parallel = false, columns = {{{columns}}})"
        )

    def _value(self) -> int:
        row = self._cursor.fetchone()
        assert row is not None
        return int(row[0])


def _text(column: Column, *, guard: bool) -> str:
    """A column as CSV shows it: the same text on both engines."""
    value = column.expression
    if column.type.startswith("TIMESTAMP"):
        return f"replace(cast({value} as varchar), ' ', 'T') || 'Z'"
    if column.type == "BOOLEAN":
        return f"case when {value} then 'true' when not {value} then 'false' end"
    if column.type == "VARCHAR" and guard:
        return f"case when substr({value}, 1, 1) in {FORMULA} then '''' || {value} else {value} end"
    return f"cast({value} as varchar)" if column.type == "VARCHAR" else value


def _json(column: Column) -> str:
    """Decimals are text in JSON: a number would be read as a float."""
    value = column.expression
    if column.type.startswith(("TIMESTAMP", "VARCHAR")):
        return _text(column, guard=False)
    return f"cast({value} as varchar)" if column.type.startswith("DECIMAL") else value


def _arrow_type(column: Column) -> str:
    """Times are moments in Arrow, not what a clock showed."""
    return "TIMESTAMPTZ" if column.type == "TIMESTAMP" else column.type


def _copy(connection: duckdb.DuckDBPyConnection, select: str, path: Path, options: str) -> int:
    row = connection.execute(f"copy ({select}) to {_quoted(path)} ({options})").fetchone()
    assert row is not None
    return int(row[0])


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
