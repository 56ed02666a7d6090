"""Nodes of a dbt command share connections to PostgreSQL, and a command leaves none behind."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import duckdb
import psycopg2
import pytest
from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.postgres.connections import PostgresCredentials
from sqlalchemy import URL
from support import Warehouse
from support.modelled import ModelledWarehouse

from ledger.settings import Settings
from operations import dbt_runner
from operations.dbt_connections import (
    close_connections,
    keep_connection,
    kept,
    open_connection,
)

SESSIONS = "select sessions from pg_stat_database where datname = current_database()"


@pytest.fixture
def connection(postgres_database: URL) -> Iterator[Connection]:
    url = postgres_database
    credentials = PostgresCredentials(
        host=url.query.get("host") or url.host,  # type: ignore[arg-type]
        port=5432,
        user=url.username or "",
        password=url.password or "",
        database=url.database or "",
        schema="public",
    )
    connection = Connection("postgres", "a_node", credentials, ConnectionState.INIT)
    yield open_connection(connection)
    close_connections()
    connection.handle.close()


def again(connection: Connection) -> Connection:
    """The connection of the next node."""
    keep_connection(connection)
    following = Connection("postgres", "next", connection.credentials, ConnectionState.CLOSED)
    return open_connection(following)


def test_the_next_node_finds_nothing_of_the_one_before(connection: Connection) -> None:
    cursor = connection.handle.cursor()
    cursor.execute("set work_mem = '1GB'")
    cursor.execute("create temporary table touched as select 1 as id")
    cursor.execute("prepare counted as select 1")
    connection.handle.commit()
    cursor.execute("create table public.unfinished (id integer)")
    first = connection.handle
    following = again(connection)
    assert following.handle is first
    assert following.state == ConnectionState.OPEN
    cursor = following.handle.cursor()
    cursor.execute(
        "select current_setting('work_mem') = '1GB', to_regclass('touched'),"
        " to_regclass('public.unfinished'), (select count(*) from pg_prepared_statements)"
    )
    assert cursor.fetchone() == (False, None, None, 0)
    assert not following.handle.autocommit


def test_a_broken_connection_is_followed_by_a_new_one(connection: Connection) -> None:
    broken = connection.handle
    keep_connection(connection)
    with psycopg2.connect(broken.dsn) as other, other.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s)", (broken.get_backend_pid(),))
    following = Connection("postgres", "next", connection.credentials, ConnectionState.CLOSED)
    connection.handle = open_connection(following).handle
    assert connection.handle is not broken
    assert broken.closed
    connection.handle.cursor().execute("select 1")
    connection.handle.close()
    keep_connection(connection)
    assert kept == []


def test_one_with_a_role_is_not_kept(connection: Connection) -> None:
    connection.credentials.role = "reporter"
    keep_connection(connection)
    assert connection.handle.closed
    assert kept == []


@pytest.mark.parametrize("built_settings", ["postgres"], indirect=True)
def test_a_command_opens_a_few_and_leaves_none(built_warehouse: Warehouse) -> None:
    modelled = ModelledWarehouse(built_warehouse.settings, seeded=True)
    before = built_warehouse.value(SESSIONS)
    modelled.dbt("run", "+company_health_metrics")
    opened = built_warehouse.value(SESSIONS) - before
    assert 1 < opened <= 10
    others = "select count(*) from pg_stat_activity where application_name = 'dbt'"
    assert built_warehouse.value(others) == 0


@pytest.mark.parametrize("built_settings", ["duckdb"], indirect=True)
def test_a_command_that_could_not_open_the_file_does_not_hold_it(
    built_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another process has it at that moment; the error that is kept keeps its frames."""
    connect, openings = duckdb.connect, count()

    def connect_but_first(*arguments: Any, **options: Any) -> Any:
        if next(openings) == 0:
            raise duckdb.IOException("Could not set lock on file")
        return connect(*arguments, **options)

    manifest = dbt_runner.parse(built_settings)
    with monkeypatch.context() as patched:
        patched.setattr(duckdb, "connect", connect_but_first)
        arguments = ["run", "--select", "stg_crm__companies+"]
        outcome = dbt_runner.invoke(built_settings, arguments, manifest=manifest)
    assert "Could not set lock" in str(outcome.exception)
    assert next(openings) > 1, "it was opened after all"
    connect(str(built_settings.warehouse_path), read_only=True).close()
