"""Migrations give exactly the tables that the code knows, on both engines and from any state."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import BLANK_SCHEMA, Engine, inspect

from ledger.engine import MIGRATIONS, open_ledger
from ledger.errors import TargetError
from ledger.settings import Settings
from ledger.tables import SCHEMA, MetaData, metadata


def schema_of(engine: Engine) -> str | None:
    return SCHEMA if engine.dialect.name == "postgresql" else None


def test_the_migrated_schema_is_the_metadata(settings: Settings) -> None:
    engine = open_ledger(settings)
    schema = schema_of(engine)
    tables = metadata
    if schema is None:
        tables = MetaData()
        for table in metadata.tables.values():
            table.to_metadata(tables, schema=None, referred_schema_fn=lambda *_: BLANK_SCHEMA)
    options = {
        "include_schemas": schema is not None,
        "version_table_schema": schema,
        "compare_type": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == schema,
    }
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables) == []
        keys = inspect(connection)
        for table in tables.tables.values():
            found = keys.get_pk_constraint(table.name, schema=schema)["constrained_columns"]
            assert found == [column.name for column in table.primary_key]
            nullable = {c["name"]: c["nullable"] for c in keys.get_columns(table.name, schema)}
            assert nullable == {column.name: column.nullable for column in table.columns}


def test_opening_again_changes_nothing(settings: Settings) -> None:
    open_ledger(settings).dispose()
    engine = open_ledger(settings)
    assert set(inspect(engine).get_table_names(schema_of(engine))) == {
        "alembic_version",
        *(table.name for table in metadata.tables.values()),
    }


def test_it_can_be_taken_back(settings: Settings) -> None:
    engine = open_ledger(settings)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names(schema_of(engine)) == ["alembic_version"]
    open_ledger(settings)
    assert "sync_log" in inspect(engine).get_table_names(schema_of(engine))


@pytest.mark.parametrize("settings", ["postgres"], indirect=True)
def test_first_runs_at_once(settings: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(lambda _: open_ledger(settings), range(4)))
    assert "sync_log" in inspect(engines[0]).get_table_names(SCHEMA)


def test_sqlite_survives_a_power_cut(tmp_path: Path) -> None:
    with open_ledger(Settings(tmp_path)).connect() as connection:
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 2


def test_a_ledger_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database, but long enough to be read as one" * 9)
    message = r"cannot open the ledger at sqlite:.*ledger\.sqlite: .*; put a backup in its place"
    with pytest.raises(TargetError, match=message):
        open_ledger(Settings(tmp_path))
