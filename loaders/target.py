"""The one place of the loaders that knows the destination: DuckDB file or PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Literal
from urllib.parse import quote

import dlt
import duckdb
import psycopg2
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from ledger.settings import Settings
from ledger.unreadable import unreadable
from loaders.duckdb_file import open_working_file
from loaders.postgres import Postgres

RAW = "raw"
ROWS_AT_ONCE = 10_000


class Target:
    """Reads from the warehouse, and tells dlt where to write."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: duckdb.DuckDBPyConnection | None = None
        self.name = settings.engine_name

    def destination(self) -> Any:
        """dlt's destination."""
        if self._settings.postgres_url is None:
            # One file and one thread at a time: more buffer more rows, and gain little.
            path = str(self._settings.warehouse_path)
            return _described_once(
                dlt.destinations.duckdb(
                    DuckDbCredentials(path, global_config={"threads": 1}),
                    loader_parallelism_strategy="sequential",
                )
            )
        return _described_once(Postgres(_credentials(self._settings.postgres_parameters())))

    @property
    def file_format(self) -> Literal["parquet", "csv"]:
        """What dlt writes for this destination: parquet is copied as it is, csv goes by COPY."""
        return "parquet" if self.name == "duckdb" else "csv"

    def fetch(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query with `?` parameters; none when a table or schema is not there yet.

        Raises:
            TargetError: the database cannot be opened, or refuses the query.
        """
        try:
            if self.name == "duckdb":
                return self._fetch_duckdb(query, parameters)
            return self._fetch_postgres(query, parameters)
        except (duckdb.CatalogException, psycopg2.errors.UndefinedTable):
            return []
        except (duckdb.Error, psycopg2.Error) as error:
            raise unreadable(self._settings, error) from error

    def execute(self, *statements: str) -> None:
        """Run statements and commit them together.

        Raises:
            TargetError: the database cannot be opened, or refuses a statement.
        """
        try:
            if self.name == "duckdb":
                with open_working_file(self._settings) as connection:
                    connection.begin()
                    for statement in statements:
                        connection.execute(statement)
                    connection.commit()
                return
            postgres = psycopg2.connect(**self._settings.postgres_parameters())
            with closing(postgres), postgres, postgres.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        except (duckdb.Error, psycopg2.Error) as error:
            raise unreadable(self._settings, error) from error

    def stream(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Rows of a query that may give very many.

        Raises:
            TargetError: the database cannot be opened, or refuses the query.
        """
        try:
            if self.name == "duckdb":
                with open_working_file(self._settings) as connection:
                    cursor = connection.execute(query)
                    while rows := cursor.fetchmany(ROWS_AT_ONCE):
                        yield from rows
                return
            postgres = psycopg2.connect(**self._settings.postgres_parameters())
            with closing(postgres), postgres.cursor("stream") as cursor:
                cursor.execute(query)
                yield from cursor
        except (duckdb.Error, psycopg2.Error) as error:
            raise unreadable(self._settings, error) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep a DuckDB file open until `release` or the end: opening it costs more than a query.

        Raises:
            TargetError: the file cannot be opened.
        """
        if self.name != "duckdb":
            yield
            return
        try:
            self._held = open_working_file(self._settings)
        except duckdb.Error as error:
            raise unreadable(self._settings, error) from error
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Let go of a file held open, so that its memory is given back with each file landed."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _fetch_duckdb(self, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with open_working_file(self._settings) as connection:
            return connection.execute(query, parameters).fetchall()

    def _fetch_postgres(self, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(**self._settings.postgres_parameters())
        try:
            with connection.cursor() as cursor:
                cursor.execute(query.replace("%", "%%").replace("?", "%s"), tuple(parameters))
                return list(cursor.fetchall())
        finally:
            connection.close()


def _credentials(options: dict[str, Any]) -> dict[str, Any]:
    """libpq's parameters as dlt names them: the options below `query`.

    A socket directory is a host that a URL can hold only quoted.
    """
    credentials: dict[str, Any] = {
        "host": quote(str(options.pop("host")), safe=""),
        "port": options.pop("port"),
        "username": options.pop("user"),
        "password": options.pop("password"),
        "database": options.pop("dbname"),
    }
    if "connect_timeout" in options:
        # dlt would put its own in the place of the query's.
        credentials["connect_timeout"] = int(options.pop("connect_timeout"))
    return credentials | {"query": options}


def _described_once(destination: Any) -> Any:
    """The destination, which reads its configuration once to say what it can.

    dlt asks it twenty times a load, and looks through all that may configure it each time: half of
    the time of a small load. A configuration to connect with is read as ever.
    """
    read, found = destination.configuration, list[Any]()

    def configuration(initial_config: Any, accept_partial: bool = False) -> Any:
        if not accept_partial:
            return read(initial_config)
        if not found:
            found.append(read(initial_config, accept_partial=True))
        return found[0]

    destination.configuration = configuration
    return destination
