"""The DuckDB file that loaders and models write; readers see another (`serving.publish_duckdb`)."""

from pathlib import Path

import duckdb

from ledger.errors import TargetError
from ledger.settings import Settings

STORAGE_VERSION = "v1.5.0"
"""Of the file's format: keys and other short texts are read in half the time of DuckDB's default,
which any DuckDB since 1.0 can read. Nobody but this project's own DuckDB opens this file."""


def open_working_file(settings: Settings) -> duckdb.DuckDBPyConnection:
    """The file, made if it is not there. A file keeps the format that it was made in.

    Raises:
        duckdb.Error: the file cannot be opened, as when another program has it open.
    """
    _make(settings.warehouse_path)
    return duckdb.connect(str(settings.warehouse_path))


def make_working_file(settings: Settings) -> None:
    """Make the file if the target is DuckDB and it is not there, before a program that would.

    Raises:
        TargetError: the file cannot be made.
    """
    if settings.postgres_url is not None:
        return
    try:
        _make(settings.warehouse_path)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise TargetError(
            f"cannot make the warehouse {settings.warehouse_path}: {reason}"
        ) from error


def _make(path: Path) -> None:
    """By a connection of its own: none that is opened later must name the same setting."""
    if not path.exists():
        duckdb.connect(str(path), config={"storage_compatibility_version": STORAGE_VERSION}).close()
