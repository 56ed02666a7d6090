"""Landing nested orders over HTTP: rows per CPU-second against dlt's defaults and a bare loop.

A row is an order or an item. CPU is the loading process's own; the API and PostgreSQL run in
others. Memory: peak of the loading process with ten times the orders.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.measure import empty_warehouse, figure, quick
from benchmarks.order_api import ITEMS
from ledger.settings import Settings

AIMS = {"duckdb": ("≥ 8", "≥ 0.5"), "postgres": ("≥ 3", "≥ 0.3")}


@contextmanager
def api(count: int, changed: int = 0) -> Iterator[str]:
    """The benchmark API in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.order_api", str(count), str(changed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def environment(settings: Settings) -> dict[str, str]:
    """Settings as the environment of a child process."""
    values = {"WAREHOUSE_HOME": str(settings.home), "WAREHOUSE_TARGET": settings.target}
    if settings.postgres_url is not None:
        url = settings.postgres_url.render_as_string(hide_password=False)
        values["WAREHOUSE_POSTGRES_URL"] = url
    return os.environ | values


def run(engine: str, way: str, count: int) -> dict[str, float]:
    """CPU seconds, wall seconds and peak MiB of landing `count` orders in an empty warehouse."""
    with empty_warehouse(engine) as settings, api(count) as url:
        command = [sys.executable, "-m", "benchmarks.peers", way, url]
        done = subprocess.run(
            command, env=environment(settings), stdout=subprocess.PIPE, text=True, check=True
        )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result | {"rate": count * (1 + ITEMS) / result["cpu_seconds"]}


def main() -> None:
    """Print the figures of both engines."""
    small = quick()
    count, slow_count, many = (2_000, 500, 4_000) if small else (100_000, 20_000, 1_000_000)
    for engine, (against_dlt, against_bare) in AIMS.items():
        ours, bare = run(engine, "ours", count), run(engine, "bare", count)
        peer = run(engine, "dlt_defaults", slow_count)
        for name, other, aim in (
            ("landing against dlt's defaults", peer, against_dlt),
            ("landing against a bare loop", bare, against_bare),
        ):
            measured = f"{ours['rate']:,.0f} against {other['rate']:,.0f} rows per CPU-second"
            figure(name, engine, ours["rate"] / other["rate"], aim, measured)
        large = run(engine, "ours", many)
        measured = f"{large['peak_mib']:.0f} MiB at {many:,}, {ours['peak_mib']:.0f} at {count:,}"
        ratio = large["peak_mib"] / ours["peak_mib"]
        figure("peak memory, ten times the orders", engine, ratio, "≤ 1.2", measured)


if __name__ == "__main__":
    main()
