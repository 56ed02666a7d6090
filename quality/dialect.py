"""DuckDB as Great Expectations can read it: a PostgreSQL dialect over duckdb-engine.

Expectations know how to speak to PostgreSQL, and DuckDB speaks its SQL, with these differences:

- results are fetched after the connection is closed: rows are buffered when a statement is done;
- `~` matches the whole text on DuckDB and any part of it on PostgreSQL: `regexp_matches` is used;
- PostgreSQL's catalog is emulated, slowly: columns come from `duckdb_columns`;
- times are read in the zone of the machine: UTC is set, as the marts are in UTC.
"""

from typing import Any

from duckdb_engine import Dialect
from sqlalchemy import text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGCompiler
from sqlalchemy.dialects.postgresql.psycopg2 import PGExecutionContext_psycopg2
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.types import BIGINT, BOOLEAN, DATE, FLOAT, NUMERIC, TEXT, TIMESTAMP

DRIVER = "postgresql+duckdb"
COLUMNS = """
    select column_name, data_type, is_nullable from duckdb_columns()
    where table_name = :table_name and schema_name = coalesce(:schema_name, schema_name)
    order by column_index
"""
TYPES = {
    "BIGINT": BIGINT,
    "BOOLEAN": BOOLEAN,
    "DATE": DATE,
    "DECIMAL": NUMERIC,
    "DOUBLE": FLOAT,
    "INTEGER": BIGINT,
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": TIMESTAMP,
}


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


class PostgresLikeDuckDB(Dialect):
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

    def get_columns(
        self, connection: Any, table_name: str, schema: str | None = None, **_: Any
    ) -> Any:
        """Names and types; expectations refuse to compare texts with numbers."""
        values = {"table_name": str(table_name), "schema_name": schema}
        rows = connection.execute(text(COLUMNS), values)
        return [
            {
                "name": name,
                "type": TYPES.get(data_type.partition("(")[0], TEXT)(),
                "nullable": nullable,
                "default": None,
            }
            for name, data_type, nullable in rows
        ]

    def get_pk_constraint(
        self, connection: Any, table_name: str, schema: str | None = None, **_: Any
    ) -> Any:
        """None: keys are tested, not declared."""
        return {"constrained_columns": [], "name": None}


def register() -> None:
    """Let SQLAlchemy find the dialect by its driver name."""
    registry.register("postgresql.duckdb", __name__, PostgresLikeDuckDB.__name__)
