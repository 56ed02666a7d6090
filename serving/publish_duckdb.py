"""Publishing on DuckDB: working file ─▶ a file of its own ─▶ one atomic switch of a link.

`<home>/published.duckdb` links to `<home>/published/<version>/published.duckdb`, so that the
database is called `published` in every version. A file is complete and on disk before the link
names it, and is never written again: whoever has it open keeps it, also after it was removed. While
a publication is written the working file belongs to this process anyway. What builds noted is
forgotten last; a publication killed before that is followed by one that copies everything.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from sqlalchemy import Connection, Engine

from ledger.publications import (
    Publication,
    current_publication,
    next_version,
    record_publication,
)
from ledger.runs import now
from ledger.settings import Settings
from serving.draft_duckdb import (
    base_of_draft,
    begin_draft,
    bring_up_to_date,
    forget_notes,
    version_of,
)
from serving.ledger_mirror import MIRRORED, Mirrored
from serving.reader import connect_duckdb

MARTS = ("core", "health", "sales")
OPERATIONS = "operations"
KEPT_FILES = 3


def publish(settings: Settings, ledger: Engine, run_id: str, as_of: datetime) -> Publication:
    """Copy the marts, then show them. Raises what DuckDB and the file system raise."""
    started_at = now()
    _adopt(settings, ledger)
    with ledger.connect() as connection:
        version = next_version(connection)
    draft = _folder(settings) / f"{version:08d}.draft"
    with _working(settings) as database:
        base = base_of_draft(database, settings.published_path.resolve())
        begin_draft(database, draft, base)
        rows = bring_up_to_date(database, MARTS)
        database.execute("checkpoint published")
        with ledger.begin() as connection:
            seconds = (now() - started_at).total_seconds()
            publication = Publication(version, as_of, now(), seconds)
            record_publication(connection, run_id, publication, rows)
            _copy_operations(database, connection)
            database.execute("detach published")
            size = draft.stat().st_size
            _show(settings, draft, f"{version:08d}")
        forget_notes(database, version, None if base else size)
    clean(settings)
    return publication


def refresh_operations(settings: Settings, ledger: Engine) -> None:
    """Show the newest `operations` beside the marts that readers have."""
    _adopt(settings, ledger)
    shown = settings.published_path.resolve()
    version, _, number = shown.parent.name.partition(".")
    draft = _folder(settings) / f"{version}.draft"
    with _working(settings) as database, ledger.connect() as connection:
        begin_draft(database, draft, shown)
        _copy_operations(database, connection)
        database.execute("detach published")
        _show(settings, draft, f"{version}.{int(number or 0) + 1:06d}")
    clean(settings)


@contextmanager
def _working(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file that builds write."""
    with connect_duckdb(settings.warehouse_path) as database:
        database.execute("set preserve_insertion_order = false")
        try:
            yield database
        except BaseException:
            # While this process holds the file open elsewhere, the next draft finds it attached.
            with suppress(duckdb.Error):
                database.rollback()
            with suppress(duckdb.Error):
                database.execute("detach database if exists published")
            raise


def _copy_operations(database: duckdb.DuckDBPyConnection, ledger: Connection) -> None:
    database.execute("begin")
    for mirrored in MIRRORED:
        _mirror(database, ledger, mirrored)
    database.execute("commit")
    database.execute(f"drop schema if exists published.{OPERATIONS} cascade")
    bring_up_to_date(database, (OPERATIONS,))


def _mirror(database: duckdb.DuckDBPyConnection, ledger: Connection, mirrored: Mirrored) -> None:
    """Replace the mirror's rows; a mirror that no build has made yet is made by the next."""
    types = dict(
        database.execute(
            "select column_name, data_type from information_schema.columns"
            " where table_schema = 'raw' and table_name = ? and table_catalog = current_database()",
            [mirrored.name],
        ).fetchall()
    )
    if not types:
        return
    rows = ledger.execute(mirrored.query()).fetchall()
    columns = list(zip(*rows, strict=True)) or [() for _ in mirrored.columns]
    table = pa.table([pa.array(column) for column in columns], names=mirrored.columns)
    casts = ", ".join(f'cast("{name}" as {types[name]})' for name in mirrored.columns)
    names = ", ".join(f'"{name}"' for name in mirrored.columns)
    database.register("mirrored_rows", table)
    database.execute(f"delete from raw.{mirrored.name}")
    database.execute(f"insert into raw.{mirrored.name} ({names}) select {casts} from mirrored_rows")
    database.unregister("mirrored_rows")


def _show(settings: Settings, draft: Path, name: str) -> None:
    """From here on readers see the file."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    final = draft.with_name(name) / settings.published_path.name
    final.parent.mkdir(exist_ok=True)
    draft.chmod(0o444)
    draft.replace(final)
    link = settings.published_path.with_suffix(".link")
    link.unlink(missing_ok=True)
    link.symlink_to(final.relative_to(settings.home))
    link.replace(settings.published_path)
    for folder in (final.parent, final.parents[1], settings.home):
        _sync_folder(folder)


def _adopt(settings: Settings, ledger: Engine) -> None:
    """Record a version that readers see and the ledger lacks: its publisher was killed between."""
    shown = settings.published_path.resolve()
    if not shown.exists():
        return
    known = current_publication(ledger)
    version = version_of(shown)
    if known is not None and known.version >= version:
        return
    with connect_duckdb(shown, read_only=True) as database:
        row = database.execute(
            "select run_id, as_of, created_at from operations.publications where version = ?",
            [version],
        ).fetchone()
    if row is not None:
        run_id, as_of, created_at = row
        adopted = Publication(version, as_of.replace(tzinfo=UTC), created_at.replace(tzinfo=UTC))
        with ledger.begin() as connection:
            record_publication(connection, run_id, adopted, {})


def clean(settings: Settings) -> None:
    """Remove old copies and unfinished ones; the shown one and the two before it stay."""
    folder = _folder(settings)
    shown = settings.published_path.resolve()
    versions = sorted(path for path in folder.iterdir() if path.is_dir())
    for path in versions[:-KEPT_FILES]:
        if path != shown.parent:
            shutil.rmtree(path)
    for path in (*folder.glob("*.draft"), *folder.glob("*.wal")):
        path.unlink()


def _folder(settings: Settings) -> Path:
    folder = settings.home / "published"
    folder.mkdir(exist_ok=True)
    return folder


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
