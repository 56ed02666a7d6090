"""A modelled warehouse under test: rows put straight into raw ─▶ dbt in this process ─▶ tables.

The loads are made by hand, so that they can be late, repeated or incomplete as a test needs it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import duckdb
import psycopg2
import pyarrow as pa
from psycopg2.extras import execute_values

from ledger.engine import open_ledger
from ledger.runs import recorded_run
from ledger.settings import Settings
from loaders.arrow import TableBuilder
from loaders.contracts import ALL_ENTITIES, USER_EVENTS, Entity
from loaders.decoding import DecodedPage, row_hash
from loaders.duckdb_file import open_working_file
from loaders.reference import sync_reference
from loaders.target import Target
from operations import dbt_runner
from serving.publish import publish
from serving.reader import open_published

from .warehouse import working

MARTS = ("core", "health", "sales")
VIEWS = ("config.materialized:view",)
CALENDAR = {"first_day": "2024-01-01", "last_day": "2027-12-31"}
"""Days of `dim_date`: the forty years of the default would be most of what is compared."""
BY_NAME = {entity.name: entity for entity in ALL_ENTITIES}
Rows = Counter[tuple[Any, ...]]
Fetch = Callable[[str], list[tuple[Any, ...]]]


class ModelledWarehouse:
    """Raw rows in, marts out, on one engine."""

    def __init__(self, settings: Settings, *, seeded: bool = False) -> None:
        self.settings = settings
        self.target = Target(settings)
        # Opening the file costs more than most of what a test does with it.
        self._kept_open = open_working_file(settings) if self.target.name == "duckdb" else None
        if not seeded:
            self.dbt("seed")

    def release(self) -> None:
        """Let the file be opened in another way, or by another process."""
        if self._kept_open is not None:
            self._kept_open.close()

    def dbt(self, command: str, *selectors: str, **options: Any) -> None:
        """Run a dbt command with options of `try_dbt`; any failure fails the test."""
        outcome = self.try_dbt(command, *selectors, **options)
        results = getattr(outcome.result, "results", [])
        failures = [f"{r.node.name}: {r.message}" for r in results if r.status != "success"]
        assert outcome.success, failures or outcome.exception

    def try_dbt(
        self,
        command: str,
        *selectors: str,
        exclude: Sequence[str] = (),
        as_of: datetime | None = None,
        full: bool = False,
    ) -> Any:
        """Run a dbt command; gives dbt's result."""
        arguments = [command]
        arguments += ["--select", *selectors] if selectors else []
        arguments += ["--exclude", *exclude] if exclude else []
        arguments += ["--full-refresh"] if full else []
        variables = {"as_of": as_of.isoformat() if as_of else None, **CALENDAR}
        arguments += ["--vars", json.dumps(variables)]
        manifest = dbt_runner.parse(self.settings)
        return dbt_runner.invoke(self.settings, arguments, manifest=manifest)

    def land(
        self,
        load_id: str,
        records: Iterable[tuple[Entity, Any, bool]],
        *,
        received_at: datetime,
        complete: bool = True,
        times: int = 1,
    ) -> None:
        """Append records (entity, record, deleted) as a load, as the loader would."""
        pages: dict[tuple[str, bool], DecodedPage] = {}
        for entity, record, deleted in records:
            page = pages.setdefault((entity.name, deleted), DecodedPage())
            page.records.append(record)
            page.hashes.append(row_hash(f"{record!r}{deleted}".encode()))
            page.extras.append(None)
        for (name, deleted), page in pages.items():
            builder, position = TableBuilder(BY_NAME[name]), None
            if name == USER_EVENTS.name:
                position = _positions(page.hashes)
            tables = builder.build(page, received_at, deleted=deleted, position=position)
            for table_name, table in tables.items():
                self._append(table_name, pa.concat_tables([table] * times), load_id)
        if complete:
            self.complete(load_id)

    def complete(self, load_id: str) -> None:
        """Make a load visible."""
        self.execute(
            "insert into raw._dlt_loads (load_id, schema_name, status, inserted_at)"
            f" values ('{load_id}', 'test', 0, '{datetime.now(UTC).isoformat()}')"
        )

    def _append(self, name: str, table: pa.Table, load_id: str) -> None:
        rows = table.append_column("_dlt_load_id", pa.array([load_id] * table.num_rows))
        if self.target.name == "duckdb":
            with duckdb.connect(str(self.settings.warehouse_path)) as connection:
                connection.register("rows_to_append", rows)
                connection.execute(f"insert into raw.{name} by name select * from rows_to_append")
            return
        with psycopg2.connect(**self.settings.postgres_parameters()) as connection:
            values = [tuple(row.values()) for row in rows.to_pylist()]
            statement = f"insert into raw.{name} ({', '.join(rows.column_names)}) values %s"
            execute_values(connection.cursor(), statement, values)
        connection.close()

    def execute(self, statement: str) -> None:
        """Run a statement and commit it."""
        statement = working(self.settings, statement)
        if self.target.name == "duckdb":
            with duckdb.connect(str(self.settings.warehouse_path)) as connection:
                connection.execute(statement)
            return
        connection = psycopg2.connect(**self.settings.postgres_parameters())
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.target.fetch(working(self.settings, query))

    def dump(self, schemas: Sequence[str] = MARTS) -> dict[str, Rows]:
        """Every row of every table of the marts as built, comparable across engines."""
        names = [self.settings.working_schema(schema) for schema in schemas]
        with self.opened() as fetch:
            return _dump(fetch, names)

    @contextmanager
    def opened(self) -> Iterator[Fetch]:
        """Queries by one connection: opening one takes longer than most of them."""
        if self.target.name == "duckdb":
            with duckdb.connect(str(self.settings.warehouse_path)) as connection:
                yield lambda query: connection.execute(query).fetchall()
            return
        postgres = psycopg2.connect(**self.settings.postgres_parameters())
        with closing(postgres), postgres.cursor() as cursor:

            def fetch(query: str) -> list[tuple[Any, ...]]:
                cursor.execute(working(self.settings, query))
                return cursor.fetchall()

            yield fetch

    def published(self) -> dict[str, Rows]:
        """Every row of every table of the marts as readers see them."""
        with open_published(self.settings) as reader:
            return _dump(reader.fetch, MARTS)


def build_empty(settings: Settings) -> None:
    """Ledger, reference data, and every model built and published without data.

    What a test begins with that is not about it.
    """
    ledger, as_of = open_ledger(settings), datetime(2026, 1, 1, tzinfo=UTC)
    with recorded_run(ledger, "build", settings.target) as run_id:
        sync_reference(settings, ledger, run_id)
        ModelledWarehouse(settings).dbt("run", as_of=as_of)
        publish(settings, ledger, run_id, as_of)
    ledger.dispose()


def _dump(fetch: Fetch, schemas: Sequence[str]) -> dict[str, Rows]:
    own = ", ".join(f"'{schema}'" for schema in schemas)
    names = fetch(
        "select table_schema, table_name, column_name from information_schema.columns"
        f" where table_schema in ({own})"
        " order by table_schema, table_name, column_name"
    )
    columns: dict[str, list[str]] = {}
    for schema, table, column in names:
        columns.setdefault(f"{schema.removeprefix('working_')}.{table}", []).append(column)
    return {
        table: Counter(fetch(f"select {', '.join(own)} from {table}"))
        for table, own in columns.items()
    }


def _positions(hashes: Sequence[str]) -> dict[str, list[Any]]:
    """The same message lies at the same place, however often it is landed."""
    number = len(hashes)
    offsets = [int(hashed[:8], 16) for hashed in hashes]
    return {"_topic": ["events"] * number, "_partition": [0] * number, "_offset": offsets}
