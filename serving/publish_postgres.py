"""Publishing on PostgreSQL: `working_core` ─▶ row differences ─▶ `core`, in one transaction.

Readers' tables are only ever changed by rows, so that MVCC does the rest: a statement, or a
transaction of isolation REPEATABLE READ, sees one version, and neither waits for the publication.
Swapping tables, schemas or views instead was left out: names are resolved outside the reader's
snapshot, so a transaction could see two versions, and new tables as empty (see DECISIONS.md).

Builds note what they wrote, in the transaction of their rows (see `serving.notes`): rows of noted
keys are replaced, tables noted as a whole are compared, and the rest is left alone. Notes are
removed in the transaction that publishes their rows, and only those that its snapshot holds.
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
from serving.notes import KEYS, MODELS, NOTES, Change, changes

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
    def id(self) -> str:
        """The name that readers know."""
        return f"{self.schema}.{self.name}"

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
        rows = _known_rows(connection)
        _bring_up_to_date(connection, rows)
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


def _known_rows(connection: Connection) -> dict[str, int]:
    """Rows of each table in the version that readers see now."""
    current = current_publication(connection)
    columns = publication_tables.c
    query = select(columns.table_name, columns.row_count).where(
        columns.version == (current.version if current else 0)
    )
    return dict(connection.execute(query).tuples().all())


def _bring_up_to_date(connection: Connection, rows: dict[str, int]) -> None:
    """Make readers' tables show what the working ones do, and `rows` say how many they hold."""
    keeps_notes = connection.scalar(text("select to_regclass(:name)"), {"name": KEYS})
    noted = changes(connection.execute(text(NOTES)).tuples()) if keeps_notes else {}
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
                rows[mart.id] = _count(connection, mart)
            elif change := noted.get((WORKING + schema, name)):
                rows[mart.id] = _update(connection, mart, change, rows.get(mart.id, 0))
        _grant(connection, schema)
    for notes in (KEYS, MODELS) if keeps_notes else ():
        connection.execute(text(f"delete from {notes}"))


def _update(connection: Connection, mart: Mart, change: Change, rows: int) -> int:
    """Bring rows up to date that may have changed; gives how many the table has then."""
    key = change.by_key(dict(mart.columns), rows)
    if key is not None:
        return rows + _replace(connection, mart, key)
    _apply_differences(connection, mart.working, mart.published, [mart.key], mart.names)
    return _count(connection, mart)


def _replace(connection: Connection, mart: Mart, key: str) -> int:
    """Replace the rows of the noted keys; gives how many there are more."""
    connection.execute(
        text(
            "create temporary table noted on commit drop as"
            f" select distinct key_value from {KEYS} where schema_name = :schema and model = :name"
        ),
        {"schema": WORKING + mart.schema, "name": mart.name},
    )
    connection.execute(text("analyze noted"))
    for schema in (WORKING + mart.schema, mart.schema):
        _analyze_if_unknown(connection, schema, mart.name, key)
    same_key = f'changing."{key}" = noted.key_value'
    columns = ", ".join(f'changing."{name}"' for name in mart.names)
    deleted = connection.execute(
        text(f"delete from {mart.published} as changing using noted where {same_key}")
    )
    inserted = connection.execute(
        text(
            f"insert into {mart.published} select {columns}"
            f" from {mart.working} as changing join noted on {same_key}"
        )
    )
    connection.execute(text("drop table noted"))
    return int(inserted.rowcount - deleted.rowcount)


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


def _analyze_if_unknown(connection: Connection, schema: str, name: str, column: str) -> None:
    """Gather statistics of a column unless there are some: without, a plan would read all rows."""
    query = text(
        "select 1 from pg_catalog.pg_stats"
        " where schemaname = :schema and tablename = :name and attname = :column"
    )
    if not connection.scalar(query, {"schema": schema, "name": name, "column": column}):
        connection.execute(text(f'analyze {schema}."{name}" ("{column}")'))


def _create(connection: Connection, mart: Mart) -> None:
    """Show the table for the first time, or with other columns than before."""
    connection.execute(text(f"drop table if exists {mart.published}"))
    connection.execute(text(f"create table {mart.published} (like {mart.working} including all)"))
    connection.execute(text(f"insert into {mart.published} select * from {mart.working}"))
    connection.execute(text(f'create unique index on {mart.published} ("{mart.key}")'))


def _count(connection: Connection, mart: Mart) -> int:
    return int(connection.scalar(text(f"select count(*) from {mart.published}")) or 0)


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
