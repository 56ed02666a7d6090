"""The warehouse as expectations see it: settings ─▶ one connection, tables by their marts' names.

A session is kept by its process, for building the context costs more than a check. It holds no
connection between checks: other parts of the process write to the same file then. It opens the
warehouse read-only; the views that it adds are temporary, and gone with the connection.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

# Great Expectations reads this when it is imported: nothing is sent anywhere.
os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
import sqlalchemy as sa
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.datasource.fluent import SQLDatasource
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from ledger.errors import TargetError
from ledger.settings import Settings
from ledger.unreadable import unreadable
from quality import dialect, shortcuts

MARTS = ("core", "health", "sales")
# Tables built a moment ago have no statistics: joined row by row, they would take hours.
PREPARE_POSTGRES = ("set time zone 'UTC'", "set enable_nestloop = off")
READ_ONLY = "set session characteristics as transaction read only"
# What it warns of, the outcomes say too.
logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
_engines: dict[str, tuple[Engine, SqlAlchemyExecutionEngine]] = {}


class WarehouseDatasource(SQLDatasource):  # type: ignore[misc]
    """A data source on an engine of our own: one connection, closed when a check is done."""

    type: Literal["warehouse"] = "warehouse"

    def test_connection(self, test_assets: bool = True) -> None:
        """Nothing: a session is made before it is opened, and says itself what is wrong."""

    def get_engine(self) -> Engine:
        """The engine of the session."""
        return _engines[self.name][0]

    def get_execution_engine(self) -> SqlAlchemyExecutionEngine:
        """The engine of the session, as expectations use it."""
        return _engines[self.name][1]


class Session:
    """One warehouse, open for the time of a check."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tables: Mapping[str, str] = {}
        """What exists: `core.fct_sales` ─▶ the schema and name it has in this warehouse."""
        self.lock = threading.Lock()
        self.context = _context()
        self._engine = sa.create_engine(_url(settings), poolclass=StaticPool)
        event.listen(self._engine, "connect", self._prepare)
        name = str(len(_engines))
        _engines[name] = (
            self._engine,
            SqlAlchemyExecutionEngine(engine=self._engine, create_temp_table=False),
        )
        self._source = self.context.data_sources.add_warehouse(
            name=name, connection_string="postgresql://"
        )
        self._batches: dict[str, Any] = {}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the connection; nothing is held afterwards.

        Raises:
            TargetError: the warehouse cannot be opened.
        """
        if self.settings.postgres_url is None and not self.settings.warehouse_path.exists():
            raise TargetError(
                f"there is no warehouse at {self.settings.warehouse_path}; run `warehouse run`"
            )
        try:
            try:
                with self._engine.connect() as connection:
                    self.tables = _tables(connection, self.settings)
            except SQLAlchemyError as error:
                raise unreadable(self.settings, getattr(error, "orig", error)) from error
            yield
        finally:
            self._engine.dispose()

    def add_views(self, views: Mapping[str, str]) -> None:
        """Add temporary views, each with its query."""
        self._add("create or replace temporary view", views)

    def add_tables(self, tables: Mapping[str, str]) -> None:
        """Add temporary tables, each with the query that fills it."""
        self._add("create temporary table", tables)

    def _add(self, statement: str, queries: Mapping[str, str]) -> None:
        with self._engine.begin() as connection:
            for name, query in queries.items():
                connection.exec_driver_sql(f"{statement} {name} as {query}")

    def forbid_writing(self) -> None:
        """From here on PostgreSQL refuses to write; a DuckDB file is opened read-only."""
        if self.settings.postgres_url is not None:
            with self._engine.connect() as connection:
                connection.exec_driver_sql(READ_ONLY)
                connection.commit()

    def batch(self, place: str) -> Any:
        """What expectations are held against: a table (`schema.name`) or a temporary view."""
        if place not in self._batches:
            schema, _, name = place.rpartition(".")
            asset = self._source.add_table_asset(place, table_name=name, schema_name=schema or None)
            self._batches[place] = asset.add_batch_definition_whole_table("all")
        return self._batches[place].get_batch()

    def rows(self, query: str) -> Sequence[Sequence[Any]]:
        """Rows of a query."""
        with self._engine.connect() as connection:
            return connection.execute(sa.text(query)).all()

    def stream(self, query: str, each: Callable[[Sequence[Any]], str]) -> list[str]:
        """One text a row, without holding the rows beside the texts."""
        with self._engine.connect() as connection:
            result = connection.execution_options(stream_results=True).execute(sa.text(query))
            return [each(row) for part in result.partitions(10_000) for row in part]

    def _prepare(self, connection: Any, _record: object) -> None:
        if self.settings.postgres_url is None:
            return
        with connection.cursor() as cursor:
            for statement in PREPARE_POSTGRES:
                cursor.execute(statement)
        connection.commit()


def _context() -> Any:
    """Great Expectations with all of its stores in memory, and no folder for pages."""
    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    bars = ProgressBarsConfig(globally=False)
    config = DataContextConfig(
        store_backend_defaults=stores, progress_bars=bars, analytics_enabled=False
    )
    shortcuts.take_shortcuts()
    context = gx.get_context(mode="ephemeral", project_config=config)
    shortcuts.save_nothing(context)
    return context


def _tables(connection: Connection, settings: Settings) -> dict[str, str]:
    """What was built, not what readers see of it: on PostgreSQL the marts of both are there."""
    built = {settings.working_schema(name): name for name in MARTS}
    rows = connection.exec_driver_sql(
        "select table_schema, table_name from information_schema.tables"
    )
    return {
        f"{built.get(schema, schema)}.{name}": f"{schema}.{name}"
        for schema, name in rows
        if schema in built or schema not in MARTS
    }


def _url(settings: Settings) -> URL:
    dialect.register()
    if settings.postgres_url is not None:
        return settings.postgres_url.set(drivername=dialect.POSTGRES_DRIVER)
    return URL.create(
        dialect.DUCKDB_DRIVER,
        database=str(settings.warehouse_path),
        query={"access_mode": "read_only"},
    )
