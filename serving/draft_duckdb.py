"""A version on DuckDB: the file that readers see ─▶ what builds noted since ─▶ a draft of the next.

The draft is attached as `published`. A table stays as it lies in the copied file when no build has
written it, is brought up to date by its noted keys when few of its rows were, and is copied as a
whole otherwise; the rest of the work is the file system's. Whenever it is in doubt that the notes
tell all that has changed since that file, the draft begins empty, and everything is copied.
"""

import shutil
from pathlib import Path

import duckdb

from serving.notes import KEYS, MODELS, NOTES, Change, changes

BASE = "operations.published_base"
INNER_TABLES = (
    *("load_claims", "settled_claims", "touched_companies"),
    *("unpublished_models", "unpublished_keys", "published_base"),
)
GROWTH = 2
"""A file that is only changed keeps room that rows have left: it is written anew at this size."""
Tables = dict[tuple[str, str], list[tuple[str, str]]]


def begin_draft(database: duckdb.DuckDBPyConnection, draft: Path, base: Path | None) -> None:
    """Attach the draft to the working file: a copy of `base`, or empty."""
    for left_behind in (draft, draft.with_name(f"{draft.name}.wal")):
        left_behind.unlink(missing_ok=True)
    if base is not None:
        shutil.copyfile(base, draft)
    path = str(draft).replace("'", "''")
    database.execute(f"attach '{path}' as published")


def base_of_draft(database: duckdb.DuckDBPyConnection, shown: Path) -> Path | None:
    """The file that readers see, when the notes begin with it and it is worth keeping.

    They do not after a publication that was killed before it removed them, nor when the working
    file or the published one was replaced.
    """
    if not (shown.exists() and _exists(database, BASE)):
        return None
    version, compact_bytes = database.execute(f"from {BASE}").fetchall()[0]
    bloated = shown.stat().st_size > GROWTH * compact_bytes
    return None if bloated or version != version_of(shown) else shown


def version_of(shown: Path) -> int:
    """The version whose file this is; `operations` may have been shown anew beside its marts."""
    return int(shown.parent.name.partition(".")[0])


def bring_up_to_date(
    database: duckdb.DuckDBPyConnection, schemas: tuple[str, ...]
) -> dict[str, int]:
    """Make the draft's tables show what the working ones and views do; gives the rows of each."""
    database.execute("begin")
    working, drafted = _tables(database, schemas), _tables(database, schemas, "published")
    noted = _changes(database)
    for schema, name in drafted.keys() - working.keys():
        database.execute(f'drop table published."{schema}"."{name}"')
    rows = {}
    for (schema, name), columns in working.items():
        table = f'"{schema}"."{name}"'
        if drafted.get((schema, name)) != columns:
            database.execute(f"create schema if not exists published.{schema}")
            _copy(database, table)
        elif change := noted.get((schema, name)):
            key = change.by_key(dict(columns), _count(database, table))
            if key is None:
                _copy(database, table)
            else:
                _replace(database, schema, name, key)
        rows[f"{schema}.{name}"] = _count(database, f"published.{table}")
    database.execute("commit")
    return rows


def forget_notes(
    database: duckdb.DuckDBPyConnection, version: int, compact_bytes: int | None
) -> None:
    """Notes begin anew with a version that readers see now; its size, if all of it was copied."""
    if not _exists(database, KEYS):
        return
    database.execute("begin")
    database.execute(f"create table if not exists {BASE} (version bigint, compact_bytes bigint)")
    before = database.execute(f"delete from {BASE} returning compact_bytes").fetchone()
    size = compact_bytes if compact_bytes is not None or before is None else before[0]
    database.execute(f"insert into {BASE} values (?, ?)", [version, size])
    database.execute(f"delete from {KEYS}")
    database.execute(f"delete from {MODELS}")
    database.execute("commit")


def _copy(database: duckdb.DuckDBPyConnection, table: str) -> None:
    database.execute(f"create or replace table published.{table} as from {table}")


def _replace(database: duckdb.DuckDBPyConnection, schema: str, name: str, key: str) -> None:
    """Bring the rows of the noted keys up to date."""
    table, condition = f'"{schema}"."{name}"', f'"{key}" in (select key_value from noted)'
    database.execute(
        "create or replace temporary table noted as"
        f" select distinct key_value from {KEYS} where schema_name = ? and model = ?",
        [schema, name],
    )
    database.execute(f"delete from published.{table} where {condition}")
    database.execute(f"insert into published.{table} select * from {table} where {condition}")


def _changes(database: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], Change]:
    """What builds noted; what a view shows may always have changed."""
    views = (
        "select table_schema, table_name, null, 0 from information_schema.tables"
        " where table_type = 'VIEW' and table_catalog = current_database()"
    )
    notes = f"{NOTES} union all {views}" if _exists(database, KEYS) else views
    return changes(database.execute(notes).fetchall())


def _tables(
    database: duckdb.DuckDBPyConnection, schemas: tuple[str, ...], catalog: str | None = None
) -> Tables:
    """Columns and types of tables and views."""
    query = """
        select table_schema, table_name, column_name, data_type from information_schema.columns
        where table_catalog = coalesce(?, current_database()) and list_contains(?, table_schema)
            and not list_contains(?, table_name)
        order by table_schema, table_name, ordinal_position
    """
    parameters = [catalog, list(schemas), list(INNER_TABLES)]
    found: Tables = {}
    for schema, name, column, kind in database.execute(query, parameters).fetchall():
        found.setdefault((schema, name), []).append((column, kind))
    return found


def _exists(database: duckdb.DuckDBPyConnection, table: str) -> bool:
    schema, _, name = table.partition(".")
    query = (
        "select count(*) from information_schema.tables where table_catalog = current_database()"
        " and table_schema = ? and table_name = ?"
    )
    return bool(database.execute(query, [schema, name]).fetchall()[0][0])


def _count(database: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(database.execute(f"select count(*) from {table}").fetchall()[0][0])
