"""A warehouse under test: settings ─▶ syncs as the command runs them ─▶ rows, checked each time.

Every sync is followed by the conservation laws, so a test that syncs tests them too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
from sqlalchemy import Engine, RowMapping, select

from ledger.engine import open_ledger
from ledger.lock import run_lock
from ledger.runs import recorded_run
from ledger.settings import Settings
from ledger.tables import sync_log
from loaders.contracts import ENTITIES, Entity
from loaders.sources import SOURCES
from loaders.sources.base import configured
from loaders.sync import EntitySync, SourceSync
from loaders.target import Target

BY_NAME = {entity.name: entity for entity in ENTITIES}
FILE_FORMAT = "select tags['storage_version'] from duckdb_databases() where not internal"
COMPLETE = "_dlt_load_id in (select load_id from raw._dlt_loads where status = 0)"
PULLED = (
    "_dlt_load_id in (select load_id from raw._dlt_loads"
    " where status = 0 and schema_name not in ('webhooks', 'stream'))"
)


def working(settings: Settings, query: str) -> str:
    """The query on what was built, which on PostgreSQL is not where readers look."""
    if settings.postgres_url is None:
        return query
    return re.sub(r"\b(core|health|sales)\.(?=[a-z])", r"working_\1.", query)


@dataclass(frozen=True)
class SyncResult:
    """What one run did, by entity."""

    run_id: str
    by_entity: dict[str, EntitySync]

    def __getitem__(self, entity: str) -> EntitySync:
        return self.by_entity[entity]

    @property
    def errors(self) -> dict[str, str]:
        return {name: sync.error for name, sync in self.by_entity.items() if sync.error}

    @property
    def landed(self) -> int:
        return sum(sync.counts.landed for sync in self.by_entity.values())


class Warehouse:
    """Syncs into one target and reads it back."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.target = Target(settings)
        self.ledger: Engine = open_ledger(settings)
        self.killed = False
        """After a kill dlt may repeat rows, and a run of its own may be left unfinished."""

    def sync(
        self,
        *sources: str,
        full: bool = False,
        entities: Sequence[str] | None = None,
        progress: Any = lambda *_: None,
        wait_seconds: float = 10,
        **overrides: Any,
    ) -> SyncResult:
        """One run over the sources (all by default), or over some of their entities."""
        found: dict[str, EntitySync] = {}
        # One opening of a DuckDB file for all sources and for what is checked afterwards.
        with self.target.held():
            with (
                run_lock(self.settings, "sync", wait_seconds),
                recorded_run(self.ledger, "sync", self.settings.target) as run_id,
            ):
                for name in sources or SOURCES:
                    source = replace(configured(SOURCES[name]), **overrides)
                    if entities is not None:
                        kept = tuple(e for e in source.entities if e.name in entities)
                        source = replace(source, entities=kept)
                    one = SourceSync(self.settings, self.ledger, source, run_id, full=full)
                    found |= {sync.entity.name: sync for sync in one.run(progress)}
            result = SyncResult(run_id, found)
            self.check_ledger(result)
            self.check_raw()
        return result

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.target.fetch(working(self.settings, query), parameters)

    def value(self, query: str, *parameters: Any) -> Any:
        (row,) = self.rows(query, *parameters)
        return row[0]

    def count(self, table: str) -> int:
        """Rows of completed loads; 0 when the table is not there yet."""
        rows = self.rows(f"select count(*) from raw.{table} where {COMPLETE}")
        return int(rows[0][0]) if rows else 0

    def lose_data(self) -> None:
        """The warehouse is gone; the ledger and dlt's working directory are not."""
        if self.settings.postgres_url is None:
            self.settings.warehouse_path.unlink()
            return
        with self.ledger.begin() as connection:
            connection.exec_driver_sql("drop schema raw cascade")

    def forget_loads_except(self, kept: Sequence[str]) -> None:
        """As a restored backup would: only the rows of these loads are there."""
        names = ", ".join(f"'{load_id}'" for load_id in kept)
        columns = {"_dlt_loads": "load_id"}
        with self.target.held():
            for table in self._tables() - {"_dlt_version", "_dlt_pipeline_state"}:
                column = columns.get(table, "_dlt_load_id")
                self.execute(f"delete from raw.{table} where {column} not in ({names})")

    def execute(self, statement: str) -> None:
        """Run a statement in the warehouse and commit it."""
        statement = working(self.settings, statement)
        if self.settings.postgres_url is None:
            with duckdb.connect(str(self.settings.warehouse_path)) as connection:
                connection.execute(statement)
            return
        with self.ledger.begin() as connection:
            connection.exec_driver_sql(statement)

    def sync_log(self, run_id: str | None = None) -> list[RowMapping]:
        query = select(sync_log)
        if run_id is not None:
            query = query.where(sync_log.c.run_id == run_id)
        with self.ledger.connect() as connection:
            return list(connection.execute(query).mappings().all())

    def check_ledger(self, result: SyncResult) -> None:
        """The ledger says what happened, and every row of it balances."""
        logged = {row["entity"]: row for row in self.sync_log(result.run_id)}
        assert logged.keys() == result.by_entity.keys()
        for name, sync in result.by_entity.items():
            row = logged[name]
            assert row["status"] == ("failed" if sync.error else "succeeded")
            assert row["error"] == sync.error
            figures = ("received", "landed", "duplicate", "dead", "deleted")
            assert {f: row[f] for f in figures} == vars(sync.counts)
            assert row["cursor_after"] == sync.cursor_after
            if sync.error:
                assert row["cursor_after"] == row["cursor_before"], "a failed sync moved the cursor"
        for row in self.sync_log():
            assert row["received"] == row["landed"] + row["duplicate"] + row["dead"], dict(row)

    def check_raw(self) -> None:
        """The figures that landed balance, and are the rows of their load."""
        figures = self.rows(
            "select distinct source, entity, run_id, received, landed, duplicate, dead, deleted,"
            f" _dlt_load_id from raw.sync_cursors where {COMPLETE}"
        )
        landed: dict[tuple[str, str], int] = {}
        dead: dict[tuple[str, str], int] = {}
        for _, entity, _, *counts, load_id in figures:
            received, good, duplicate, bad, deleted = counts
            assert received == good + duplicate + bad, (entity, load_id, counts)
            landed[entity, load_id] = landed.get((entity, load_id), 0) + good + deleted
            dead[entity, load_id] = dead.get((entity, load_id), 0) + bad
        if not figures:
            return
        assert self._rows_by_load(ENTITIES) == {key: n for key, n in landed.items() if n}
        assert self._letters_by_load() == {key: n for key, n in dead.items() if n}

    def _rows_by_load(self, entities: Sequence[Entity]) -> dict[tuple[str, str], int]:
        rows = "id, _row_hash, _is_deleted, _received_at, _dlt_load_id"
        present = self._tables()
        parts = [
            f"select '{entity.name}' as entity, {rows} from raw.{entity.table}"
            for entity in entities
            if entity.table in present
        ]
        if not parts:
            return {}
        every = (" union " if self.killed else " union all ").join(parts)
        counted = self.rows(
            f"select entity, _dlt_load_id, count(*) from ({every}) as landed where {PULLED}"
            " group by entity, _dlt_load_id"
        )
        return {(entity, load_id): number for entity, load_id, number in counted}

    def _tables(self) -> set[str]:
        query = "select table_name from information_schema.tables where table_schema = 'raw'"
        return {row[0] for row in self.rows(query)}

    def _letters_by_load(self) -> dict[tuple[str, str], int]:
        count = "count(distinct dead_letter_id)" if self.killed else "count(*)"
        rows = self.rows(
            f"select entity, _dlt_load_id, {count} from raw.dead_letters where {PULLED}"
            " group by entity, _dlt_load_id"
        )
        return {(entity, load_id): number for entity, load_id, number in rows}
