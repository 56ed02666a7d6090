"""`warehouse maintain`: ledger, raw and published copies kept within bounds.

raw is the log that everything can be built from, so it loses no record: only rows that nothing may
read, of loads that never became complete, a week after their load began, and what loads said of
themselves, once the ledger has forgotten them too. Claims of loads are summed up after a day.
Published copies are bounded when they are made; here only what a crash left behind goes.
"""

from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from ledger.engine import open_ledger
from ledger.inbox import prune
from ledger.lock import run_lock
from ledger.retention import DAYS, count_outdated, delete_outdated
from ledger.runs import now, recorded_run
from ledger.settings import Settings
from loaders.leftovers import delete_figures, delete_leftovers
from operations.settled_claims import settle_claims
from serving.publish import clean_published

LEFTOVER_AGE = timedelta(days=7)
FIGURES_AGE = timedelta(days=DAYS["sync_log"])
CLAIMS_AGE = timedelta(days=1)


def maintain(settings: Settings, *, dry_run: bool, wait_seconds: float = 0.0) -> dict[str, Any]:
    """Let go of what is old; gives the rows and files by place.

    Raises:
        WarehouseError: the database cannot be written, or is in use.
    """
    with run_lock(settings, "maintain", wait_seconds):
        ledger = open_ledger(settings)
        try:
            if dry_run:
                return _let_go(settings, ledger, dry_run=True)
            with recorded_run(ledger, "maintain", settings.target):
                report = _let_go(settings, ledger, dry_run=False)
                clean_published(settings)
                return report
        finally:
            ledger.dispose()


def _let_go(settings: Settings, ledger: Engine, *, dry_run: bool) -> dict[str, Any]:
    at = now()
    inbox = prune(ledger, at, dry_run=dry_run)
    with ledger.begin() as connection:
        counts = count_outdated(connection, at) if dry_run else delete_outdated(connection, at)
    raw = delete_leftovers(settings, at - LEFTOVER_AGE, dry_run=dry_run)
    raw |= delete_figures(settings, at - FIGURES_AGE, dry_run=dry_run)
    return {
        "succeeded": True,
        "dry_run": dry_run,
        "ledger": counts | {"inbox": inbox},
        "raw": raw,
        "operations": settle_claims(settings, at - CLAIMS_AGE, dry_run=dry_run),
    }


def show(console: Console, report: dict[str, Any]) -> None:
    """Print what went, or would go."""
    table = Table(title="Would go" if report["dry_run"] else "Gone", title_justify="left")
    table.add_column("where")
    table.add_column("rows", justify="right")
    for place in ("ledger", "raw", "operations"):
        for name, number in sorted(report[place].items()):
            table.add_row(f"{place}.{name}", f"{number:,}")
    console.print(table)
