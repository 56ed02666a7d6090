"""Both engines as Great Expectations reads them; DuckDB by a PostgreSQL dialect over duckdb-engine.

Of every table that it looks at, Great Expectations asks for columns and keys, by seven queries to
catalogs. Here columns are read once a connection: nobody alters a table while it is checked.

Expectations know how to speak to PostgreSQL, and DuckDB speaks its SQL, with these differences:

- results are fetched after the connection is closed: rows are buffered when a statement is done;
- `~` matches the whole text on DuckDB and any part of it on PostgreSQL: `regexp_matches` is used;
- times are read in the zone of the machine: UTC is set, as the marts are in UTC.
"""

from collections.abc import Iterable
from typing import Any

from duckdb_engine import Dialect
from sqlalchemy import text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGCompiler
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2, PGExecutionContext_psycopg2
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.types import BIGINT, BOOLEAN, DATE, FLOAT, NUMERIC, TEXT, TIMESTAMP

POSTGRES_DRIVER = "postgresql+columns_once"
DUCKDB_DRIVER = "postgresql+duckdb"
COLUMNS = """
    select table_schema, table_name, column_name, data_type, is_nullable
    from information_schema.columns
    order by table_schema, table_name, ordinal_position
"""
KNOWN = "columns_of_tables"
"""Where a connection keeps what `COLUMNS` gave: columns by table, and by schema and table."""
TYPES = {
    "BIGINT": BIGINT,
    "BOOLEAN": BOOLEAN,
    "DATE": DATE,
    "DECIMAL": NUMERIC,
    "DOUBLE": FLOAT,
    "DOUBLE PRECISION": FLOAT,
    "INTEGER": BIGINT,
    "NUMERIC": NUMERIC,
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": TIMESTAMP,
    "TIMESTAMP WITHOUT TIME ZONE": TIMESTAMP,
}


class ColumnsOnce:
    """The part of a dialect that tells what a table is made of."""

    def get_columns(
        self, connection: Any, table_name: str, schema: str | None = None, **_: Any
    ) -> Any:
        """Names and types; expectations refuse to compare texts with numbers."""
        place = str(table_name) if schema is None else (schema, str(table_name))
        # What was added since is looked for once more.
        if place not in connection.info.get(KNOWN, {}):
            connection.info[KNOWN] = _columns_by_table(connection.execute(text(COLUMNS)))
        return connection.info[KNOWN].get(place, [])

    def get_pk_constraint(
        self, connection: Any, table_name: str, schema: str | None = None, **_: Any
    ) -> Any:
        """None: keys are tested, not declared."""
        return {"constrained_columns": [], "name": None}


def _columns_by_table(rows: Iterable[Any]) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = {}
    for schema, table, name, data_type, nullable in rows:
        column = {
            "name": name,
            "type": TYPES.get(data_type.upper().partition("(")[0], TEXT)(),
            "nullable": nullable == "YES",
            "default": None,
        }
        found.setdefault((schema, table), []).append(column)
        found.setdefault(table, []).append(column)
    return found


class PostgresColumnsOnce(ColumnsOnce, PGDialect_psycopg2):
    """psycopg2 as SQLAlchemy has it."""

    driver = "columns_once"
    supports_statement_cache = True


class BufferedExecution(PGExecutionContext_psycopg2):
    """Takes every row of a result while the connection is open."""

    def post_exec(self) -> None:
        """Replace the cursor by its rows."""
        if self.cursor.description:
            rows = self.cursor.fetchall()
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                self.cursor, initial_buffer=rows
            )


class DuckDBCompiler(PGCompiler):
    """Writes `regexp_matches(text, pattern)` for `text ~ pattern`."""

    def visit_custom_op_binary(self, element: Any, operator: Any, **options: Any) -> str:
        """An operator written as it is, such as the `~` of expectations."""
        if operator.opstring not in ("~", "!~"):
            written: Any = super()
            return str(written.visit_custom_op_binary(element, operator, **options))
        column, pattern = (self.process(side, **options) for side in (element.left, element.right))
        matches = f"regexp_matches({column}, {pattern})"
        return matches if operator.opstring == "~" else f"NOT {matches}"


class PostgresLikeDuckDB(ColumnsOnce, Dialect):
    """duckdb-engine under the name `postgresql`."""

    name = "postgresql"
    driver = "duckdb"
    supports_statement_cache = False
    execution_ctx_cls = BufferedExecution
    statement_compiler = DuckDBCompiler

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """A connection that reads times in UTC."""
        connection: Any = super().connect(*arguments, **options)
        connection.execute("set TimeZone = 'UTC'")
        return connection


def register() -> None:
    """Let SQLAlchemy find the dialects by the names of their drivers."""
    registry.register("postgresql.duckdb", __name__, PostgresLikeDuckDB.__name__)
    registry.register("postgresql.columns_once", __name__, PostgresColumnsOnce.__name__)
