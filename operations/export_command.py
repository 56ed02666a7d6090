"""`warehouse export`: rows of a mart into a file or to standard output."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine

from ledger.engine import open_ledger
from ledger.errors import SettingsError
from ledger.export_jobs import recent_jobs
from ledger.settings import Settings, load_settings
from operations import summary
from operations.options import JsonOption
from serving.export_files import Progress as Report
from serving.export_files import export_to_file, export_to_stream
from serving.exports import ExportRequest

STANDARD_OUTPUT = "-"


def export(
    dataset: Annotated[
        str | None, typer.Argument(help="health, sales, or any mart by name.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this account's rows; all by default.")
    ] = None,
    file_format: Annotated[str, typer.Option("--format", help="csv, jsonl or parquet.")] = "csv",
    compression: Annotated[str | None, typer.Option(help="gzip or zstd.")] = None,
    out: Annotated[str, typer.Option(metavar="FILE", help="- is standard output.")] = "-",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an export into FILE broke off.")
    ] = False,
    guard_formulas: Annotated[
        bool,
        typer.Option("--guard-formulas", help="Put ' before text that a spreadsheet would run."),
    ] = False,
    show_jobs: Annotated[
        bool, typer.Option("--list", help="Show the newest exports instead, also of the API.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write rows of the published version, with a manifest beside the file."""
    settings = load_settings()
    ledger = open_ledger(settings)
    try:
        if show_jobs:
            _show_jobs(ledger, as_json=as_json)
            return
        if dataset is None:
            raise SettingsError("export what? name a dataset such as health or sales")
        wanted = ExportRequest(dataset, account, file_format, compression, guard_formulas)
        if out == STANDARD_OUTPUT:
            _to_stream(settings, ledger, wanted, resume=resume, as_json=as_json)
        else:
            _to_file(settings, ledger, wanted, Path(out), resume=resume, as_json=as_json)
    finally:
        ledger.dispose()


def _to_stream(
    settings: Settings, ledger: Engine, wanted: ExportRequest, *, resume: bool, as_json: bool
) -> None:
    if resume or as_json:
        raise SettingsError("--resume and --json need a file; give --out FILE")
    try:
        with _progress(silent=False) as report:
            export_to_stream(settings, ledger, wanted, sys.stdout.buffer, report)
    except BrokenPipeError:
        # What reads has had enough, as `head` does.
        sys.stderr.close()
        raise typer.Exit(1) from None


def _to_file(
    settings: Settings,
    ledger: Engine,
    wanted: ExportRequest,
    out: Path,
    *,
    resume: bool,
    as_json: bool,
) -> None:
    def say(text: str) -> None:
        typer.echo(text, err=True)

    with _progress(silent=as_json) as report:
        manifest = export_to_file(
            settings, ledger, wanted, out, resume=resume, progress=report, say=say
        )
    if as_json:
        typer.echo(json.dumps(manifest | {"file": str(out)}))
        return
    rows, size, version = manifest["rows"], manifest["bytes"], manifest["version"]
    typer.echo(f"{out}: {rows:,} rows, {size:,} bytes of version {version}", err=True)


@contextmanager
def _progress(*, silent: bool) -> Iterator[Report]:
    """A bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.fields[rows]} rows"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=silent or not console.is_terminal) as bar:
        task = bar.add_task("export", total=None, rows="0")

        def report(rows: int, total: int, size: int) -> None:
            expected = size * total // rows if rows else None
            bar.update(task, completed=size, total=expected, rows=f"{rows:,} of {total:,}")

        yield report


def _show_jobs(ledger: Engine, *, as_json: bool) -> None:
    jobs: list[dict[str, Any]] = [dict(job) for job in recent_jobs(ledger)]
    if as_json:
        typer.echo(json.dumps({"jobs": jobs}, default=str))
        return
    table = Table()
    for name in ("started (UTC)", "dataset", "account", "format", "version", "status", "rows"):
        table.add_column(name)
    for name in ("rows/s", "bytes", "to"):
        table.add_column(name)
    for job in jobs:
        table.add_row(
            job["started_at"].strftime("%Y-%m-%d %H:%M"),
            job["dataset"],
            job["account_id"] or "all",
            job["format"],
            str(job["version"]),
            job["error"] or job["status"],
            f"{job['rows_done']:,} of {job['rows_total']:,}",
            f"{job['rows_per_second'] or 0:,.0f}",
            f"{job['bytes_done']:,}",
            job["destination"],
        )
    summary.open_console().print(table if jobs else "no exports")
