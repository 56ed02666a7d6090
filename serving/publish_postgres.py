"""Publishing on PostgreSQL: `working_core` ─▶ row differences ─▶ `core`, in one transaction.

Readers' tables are only ever changed by rows, so that MVCC does the rest: a statement, or a
transaction of isolation REPEATABLE READ, sees one version, and neither waits for the publication.
Swapping tables, schemas or views instead was left out: names are resolved outside the reader's
snapshot, so a transaction could see two versions, and new tables as empty (see DECISIONS.md).

Builds leave the names of what they wrote in `operations.unpublished_models`, in the transaction of
their rows: only these tables are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, select, text

from ledger.publications import (
    Publication,
    current_publication,
    next_version,
    record_publication,
)
from ledger.runs import now
from ledger.tables import publication_tables
from serving.ledger_mirror import MIRRORED, Mirrored

MARTS = ("core", "health", "sales")
WORKING = "working_"
READERS_ROLE = "reporter"
SNAPSHOT_KEY = "dbt_scd_id"
LITERAL = {"literal_binds": True}
LOCK_TIMEOUT = "10s"
"""A table that changed its columns is made anew, which has to wait for its readers."""


@dataclass(frozen=True)
class Mart:
    """A table of the marts. By convention the first column is the key (a test checks it)."""

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]

    @property
    def published(self) -> str:
        """What readers see."""
        return f'{self.schema}."{self.name}"'

    @property
    def working(self) -> str:
        """What builds write."""
        return WORKING + self.published

    @property
    def names(self) -> list[str]:
        """Columns in order."""
        return [name for name, _ in self.columns]

    @property
    def key(self) -> str:
        """The column that tells rows apart."""
        return SNAPSHOT_KEY if SNAPSHOT_KEY in self.names else self.names[0]


def publish(ledger: Engine, run_id: str, as_of: datetime) -> Publication:
    """Bring readers' tables to the state of the working ones. Raises what the database raises."""
    started_at = now()
    with _snapshot(ledger) as connection, connection.begin():
        connection.execute(text(f"set local lock_timeout = '{LOCK_TIMEOUT}'"))
        changed = _take_unpublished(connection)
        rows = _known_rows(connection)
        for mart in _prepared(connection, changed, rows):
            _apply_differences(connection, mart.working, mart.published, [mart.key], mart.names)
            count = connection.scalar(text(f"select count(*) from {mart.published}"))
            rows[f"{mart.schema}.{mart.name}"] = int(count or 0)
        seconds = (now() - started_at).total_seconds()
        publication = Publication(next_version(connection), as_of, now(), seconds)
        record_publication(connection, run_id, publication, rows)
        _mirror(connection)
    return publication


def refresh_operations(ledger: Engine) -> None:
    """Show the newest `operations` beside marts that stay as they are."""
    with _snapshot(ledger) as connection, connection.begin():
        _mirror(connection)


def _snapshot(ledger: Engine) -> Connection:
    return ledger.connect().execution_options(isolation_level="REPEATABLE READ")


def _take_unpublished(connection: Connection) -> set[tuple[str, str]]:
    """Working tables that builds have written since the last publication."""
    if not connection.scalar(text("select to_regclass('operations.unpublished_models')")):
        return set()
    taken = connection.execute(
        text("delete from operations.unpublished_models returning schema_name, model")
    )
    return {(schema.removeprefix(WORKING), model) for schema, model in taken}


def _known_rows(connection: Connection) -> dict[str, int]:
    """Rows of each table in the version that readers see now."""
    current = current_publication(connection)
    columns = publication_tables.c
    query = select(columns.table_name, columns.row_count).where(
        columns.version == (current.version if current else 0)
    )
    return dict(connection.execute(query).tuples().all())


def _prepared(
    connection: Connection, changed: set[tuple[str, str]], rows: dict[str, int]
) -> list[Mart]:
    """The marts to compare, each with a table that readers see; what is gone is dropped."""
    found = []
    for schema in MARTS:
        connection.execute(text(f"create schema if not exists {schema}"))
        built, shown = _marts(connection, WORKING + schema), _marts(connection, schema)
        for name in shown.keys() - built.keys():
            connection.execute(text(f'drop table {schema}."{name}"'))
            rows.pop(f"{schema}.{name}", None)
        for name, columns in built.items():
            mart = Mart(schema, name, columns)
            if shown.get(name) != columns:
                _create(connection, mart)
            elif (schema, name) not in changed:
                continue
            found.append(mart)
        _grant(connection, schema)
    return found


def _marts(connection: Connection, schema: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """Columns and types of every table of a schema."""
    query = text(
        "select classes.relname, attributes.attname,"
        " format_type(attributes.atttypid, attributes.atttypmod)"
        " from pg_catalog.pg_class as classes"
        " join pg_catalog.pg_attribute as attributes on attributes.attrelid = classes.oid"
        " where classes.relnamespace = to_regnamespace(:schema)::oid and classes.relkind = 'r'"
        " and attributes.attnum > 0 and not attributes.attisdropped"
        " order by classes.relname, attributes.attnum"
    )
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for name, column, kind in connection.execute(query, {"schema": schema}):
        found[name] = (*found.get(name, ()), (column, kind))
    return found


def _create(connection: Connection, mart: Mart) -> None:
    connection.execute(text(f"drop table if exists {mart.published}"))
    connection.execute(text(f"create table {mart.published} (like {mart.working} including all)"))
    connection.execute(text(f'create unique index on {mart.published} ("{mart.key}")'))


def _grant(connection: Connection, schema: str) -> None:
    role = text("select 1 from pg_catalog.pg_roles where rolname = :role")
    if connection.scalar(role, {"role": READERS_ROLE}):
        connection.execute(text(f"grant usage on schema {schema} to {READERS_ROLE}"))
        connection.execute(text(f"grant select on all tables in schema {schema} to {READERS_ROLE}"))


def _apply_differences(
    connection: Connection, wanted: str, shown: str, key: Sequence[str], columns: Sequence[str]
) -> None:
    """Delete and insert the rows of `shown` that are not as in `wanted`."""

    def of(alias: str, names: Sequence[str]) -> str:
        return ", ".join(f'{alias}."{name}"' for name in names)

    same_key = " and ".join(f'wanted."{name}" = shown."{name}"' for name in key)
    keys = ", ".join(f'coalesce(wanted."{name}", shown."{name}") as "{name}"' for name in key)
    plain = ", ".join(f'"{name}"' for name in columns)
    connection.execute(
        text(
            f"create temporary table differences on commit drop as select {keys}"
            f" from {wanted} as wanted full join {shown} as shown on {same_key}"
            f' where wanted."{key[0]}" is null or shown."{key[0]}" is null'
            f" or row({of('wanted', columns)}) is distinct from row({of('shown', columns)})"
        )
    )
    connection.execute(text("analyze differences"))
    connection.execute(
        text(f"delete from {shown} as shown using differences as wanted where {same_key}")
    )
    connection.execute(
        text(
            f"insert into {shown} ({plain}) select {of('wanted', columns)}"
            f" from {wanted} as wanted join differences as shown on {same_key}"
        )
    )
    connection.execute(text("drop table differences"))


def _mirror(connection: Connection) -> None:
    """Bring `raw.ledger__*` up to date; a mirror that no build has made yet is made by the next."""
    for mirrored in MIRRORED:
        shown = f"raw.{mirrored.name}"
        if not connection.scalar(text("select to_regclass(:name)"), {"name": shown}):
            continue
        query = mirrored.query().compile(connection, compile_kwargs=LITERAL)
        connection.execute(text(f"create temporary table newest on commit drop as {query}"))
        _apply_differences(connection, "newest", shown, _key(mirrored), mirrored.columns)
        connection.execute(text("drop table newest"))


def _key(mirrored: Mirrored) -> list[str]:
    return [column.name for column in mirrored.table.primary_key.columns]
