"""`warehouse maintain`: ledger, raw and published copies kept within bounds.

raw is the log that everything can be built from, so it loses only what nothing may read: rows of
loads that never became complete, a week after their load began. Published copies are bounded when
they are made; here only what a crash left behind goes.
"""

from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from ledger.engine import open_ledger
from ledger.inbox import prune
from ledger.lock import run_lock
from ledger.retention import count_outdated, delete_outdated
from ledger.runs import now, recorded_run
from ledger.settings import Settings
from loaders.leftovers import delete_leftovers
from serving.publish import clean_published

LEFTOVER_AGE = timedelta(days=7)


def maintain(settings: Settings, *, dry_run: bool, wait_seconds: float = 0.0) -> dict[str, Any]:
    """Let go of what is old; gives the rows and files by place.

    Raises:
        WarehouseError: the database cannot be written, or is in use.
    """
    at = now()
    with run_lock(settings, "maintain", wait_seconds):
        ledger = open_ledger(settings)
        try:
            if dry_run:
                with ledger.connect() as connection:
                    counts = count_outdated(connection, at)
                leftovers = delete_leftovers(settings, at - LEFTOVER_AGE, dry_run=True)
                return _report(counts, leftovers, dry_run=True)
            with recorded_run(ledger, "maintain", settings.target):
                inbox = prune(ledger, at)
                with ledger.begin() as connection:
                    counts = delete_outdated(connection, at) | {"inbox": inbox}
                leftovers = delete_leftovers(settings, at - LEFTOVER_AGE, dry_run=False)
                clean_published(settings)
        finally:
            ledger.dispose()
    return _report(counts, leftovers, dry_run=False)


def _report(ledger: dict[str, int], raw: dict[str, int], *, dry_run: bool) -> dict[str, Any]:
    return {"succeeded": True, "dry_run": dry_run, "ledger": ledger, "raw": raw}


def show(console: Console, report: dict[str, Any]) -> None:
    """Print what went, or would go."""
    table = Table(title="Would go" if report["dry_run"] else "Gone", title_justify="left")
    table.add_column("where")
    table.add_column("rows", justify="right")
    for place in ("ledger", "raw"):
        for name, number in sorted(report[place].items()):
            table.add_row(f"{place}.{name}", f"{number:,}")
    console.print(table)
