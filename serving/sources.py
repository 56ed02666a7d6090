"""Rows of a dataset, part by part: a published version ─▶ text files or Arrow tables.

A part is a range of the table as it is stored (DuckDB's rowid, PostgreSQL's ctid), in that order.
Within a version neither changes, so a part has the same bytes whenever and by whomever it is
made; and a part fits in memory, whatever the table's size. The engines write the text: row-by-row
Python runs at a tenth of their rate. What PostgreSQL does slowly (JSON) or not at all (Arrow) is
done from its CSV, by a DuckDB in memory and by Arrow.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.csv as pc

from serving.datasets import Column, Dataset
from serving.reader import Reader

PART_ROWS = 122_880
"""A row group of DuckDB."""
PART_BLOCKS = 4_096
"""32 MB of a PostgreSQL table."""
BLOCK_BYTES = 16 << 20
"""A row must fit."""
ARROW = {
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "DOUBLE": pa.float64(),
    "INTEGER": pa.int32(),
    "SMALLINT": pa.int16(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "VARCHAR": pa.string(),
}
EVERYTHING = "true"
SETTINGS = (
    "work_mem = '64MB'",  # a part is sorted in memory
    "synchronize_seqscans = off",  # else a scan begins where another one is
    "max_parallel_workers_per_gather = 0",  # else rows come in any order
    "datestyle = 'ISO'",
)
FORMULA = "('=', '+', '-', '@', chr(9), chr(13))"
CSV_OPTIONS = "format csv, header false, delimiter ',', quote '\"', escape '\"'"


class Source(Protocol):
    """A dataset of an open version, for one account or all.

    A method returns when the database has given the part. What is left to do then is returned, to
    be called in another thread while the database gives the next one.
    """

    part_count: int
    hands: int
    """Parts that may be asked for at the same time, each in a thread."""

    def count(self) -> int:
        """Rows of all parts, about."""

    def csv(self, part: int, path: Path) -> int:
        """Write a part without header; gives its rows."""

    def jsonl(self, part: int, path: Path) -> Callable[[], int]:
        """What writes a part, one object a line, and gives its rows."""

    def arrow(self, part: int, folder: Path) -> Callable[[], pa.Table]:
        """What gives a part in memory; `folder` takes what is written in between."""


def open_source(reader: Reader, dataset: Dataset, account_id: str | None, *, guard: bool) -> Source:
    """The source of a dataset; `guard` protects CSV from being read as formulas."""
    if reader.engine == "duckdb":
        return DuckDbSource(reader, dataset, account_id, guard=guard)
    return PostgresSource(reader, dataset, account_id, guard=guard)


class DuckDbSource:
    """Parts of a published DuckDB file."""

    hands = 2
    """Two parts at a time use two cores better than two threads that put one part in order."""

    def __init__(
        self, reader: Reader, dataset: Dataset, account_id: str | None, *, guard: bool
    ) -> None:
        self._connection = reader.connection
        self._dataset = dataset
        self._guard = guard
        self._account_id = account_id
        account = None if account_id is None else "getvariable('account_id')"
        self._condition = dataset.rows_of(account)
        last = self._connection.execute(f"select max(rowid) from {dataset.table}").fetchone()[0]
        self.part_count = 1 if last is None else last // PART_ROWS + 1

    def count(self) -> int:
        """Rows of all parts."""
        where = f" where {self._condition}" if self._condition else ""
        query = f"select count(*) from {self._dataset.table} as base{where}"
        with self._hand() as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def csv(self, part: int, path: Path) -> int:
        """Write a part without header; gives its rows."""
        with self._hand() as connection:
            return _copy(connection, self._select(part, self._csv_text), path, CSV_OPTIONS)

    def _csv_text(self, column: Column) -> str:
        # The engine writes a boolean as `_text` does, and faster.
        return column.expression if column.type == "BOOLEAN" else _text(column, guard=self._guard)

    def jsonl(self, part: int, path: Path) -> Callable[[], int]:
        """What writes a part, one object a line, and gives its rows."""
        with self._hand() as connection:
            rows = _copy(connection, self._select(part, _json), path, "format json")
        return lambda: rows

    def arrow(self, part: int, folder: Path) -> Callable[[], pa.Table]:
        """What gives a part in memory; `folder` takes what is written in between."""
        select = self._select(part, lambda column: column.expression)
        with self._hand() as connection:
            table = connection.execute(select).to_arrow_table()
        return lambda: _in_utc(table)

    @contextmanager
    def _hand(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._connection.cursor() as connection:
            # COPY takes no parameters, a variable does; each connection has its own.
            connection.execute("set variable account_id = ?", [self._account_id])
            yield connection

    def _select(self, part: int, expression: Callable[[Column], str]) -> str:
        columns = ", ".join(f"{expression(one)} as {one.name}" for one in self._dataset.columns)
        begin = part * PART_ROWS
        where = f"base.rowid >= {begin} and base.rowid < {begin + PART_ROWS}"
        if self._condition:
            where += f" and {self._condition}"
        if self._condition or self._dataset.joins:
            # One table alone comes in its order anyway, and sorting would cost a third.
            where += " order by base.rowid"
        return f"select {columns} from {self._dataset.source} where {where}"


class PostgresSource:
    """Parts of the published schemas, in the reader's one transaction."""

    hands = 1

    def __init__(
        self, reader: Reader, dataset: Dataset, account_id: str | None, *, guard: bool
    ) -> None:
        self._cursor = reader.connection.cursor()
        self._dataset = dataset
        self._guard = guard
        self._memory = duckdb.connect()
        self._memory.execute("set enable_progress_bar = false")
        literal = psycopg2.extensions.QuotedString(account_id or "")
        literal.prepare(reader.connection)
        account = None if account_id is None else literal.getquoted().decode()
        self._condition = dataset.rows_of(account) or EVERYTHING
        for setting in SETTINGS:
            self._cursor.execute(f"set local {setting}")
        self._cursor.execute(
            "select pg_relation_size(%s::regclass) / current_setting('block_size')::int",
            [dataset.table],
        )
        self.part_count = self._value() // PART_BLOCKS + 1

    def count(self) -> int:
        """Rows of all parts; of a whole table as many as its statistics say, for free."""
        if self._condition == EVERYTHING:
            self._cursor.execute(
                "select cast(reltuples as bigint) from pg_class where oid = %s::regclass",
                [self._dataset.table],
            )
            estimate = self._value()
            if estimate > 0:
                return estimate
        self._cursor.execute(
            f"select count(*) from {self._dataset.table} as base where {self._condition}"
        )
        return self._value()

    def csv(self, part: int, path: Path) -> int:
        """Write a part without header; gives its rows."""
        return self._csv(part, path, guard=self._guard)

    def jsonl(self, part: int, path: Path) -> Callable[[], int]:
        """What writes a part, one object a line, and gives its rows."""
        csv = self._between(part, path.parent)
        numbers = ("BIGINT", "INTEGER", "SMALLINT", "BOOLEAN", "DOUBLE")
        read = self._read(csv, lambda one: one.type if one.type in numbers else "VARCHAR")

        def convert() -> int:
            rows = _copy(self._memory, f"select * from {read}", path, "format json")
            csv.unlink()
            return rows

        return convert

    def arrow(self, part: int, folder: Path) -> Callable[[], pa.Table]:
        """What gives a part in memory; `folder` takes what is written in between."""
        csv = self._between(part, folder)

        def convert() -> pa.Table:
            table = _arrow_of_csv(csv, self._dataset.columns)
            csv.unlink()
            return table

        return convert

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
        )
        if self._condition != EVERYTHING or self._dataset.joins:
            select += " order by base.ctid"
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
    return value


def _json(column: Column) -> str:
    """Decimals are text in JSON: a number would be read as a float."""
    value = column.expression
    if column.type.startswith("TIMESTAMP"):
        return _text(column, guard=False)
    return f"cast({value} as varchar)" if _is_decimal(column) else value


def _is_decimal(column: Column) -> bool:
    return column.type.startswith("DECIMAL")


def _arrow_of_csv(path: Path, columns: Sequence[Column]) -> pa.Table:
    schema = pa.schema([(one.name, _arrow_type(one.type)) for one in columns])
    if path.stat().st_size == 0:
        return schema.empty_table()
    return pc.read_csv(
        path,
        pc.ReadOptions(column_names=schema.names, block_size=BLOCK_BYTES),
        pc.ParseOptions(newlines_in_values=True),
        pc.ConvertOptions(
            column_types=schema,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )


def _arrow_type(name: str) -> pa.DataType:
    if name.startswith("DECIMAL"):
        precision, scale = name[len("DECIMAL(") : -1].split(",")
        return pa.decimal128(int(precision), int(scale))
    return ARROW[name]


def _in_utc(table: pa.Table) -> pa.Table:
    """Times are moments in Arrow, not what a clock showed."""
    fields = [
        field.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _copy(connection: duckdb.DuckDBPyConnection, select: str, path: Path, options: str) -> int:
    row = connection.execute(f"copy ({select}) to {_quoted(path)} ({options})").fetchone()
    assert row is not None
    return int(row[0])


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
