"""`warehouse check`: suites of expectations ─▶ ledger ─▶ tables and static pages."""

from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.engine import open_ledger
from ledger.errors import SettingsError
from ledger.lock import run_lock
from ledger.quality import PASSED
from ledger.runs import now, recorded_run
from ledger.settings import Settings
from operations.audit import SuiteName, check_and_record
from quality import build_docs, read_history

SUITES: tuple[SuiteName, ...] = ("raw", "marts")


def run_checks(settings: Settings, suite: str | None, wait_seconds: float) -> dict[str, Any]:
    """Run one suite or all.

    Raises:
        SettingsError: there is no such suite.
        WarehouseError: the database cannot be read, or is in use.
    """
    chosen = [name for name in SUITES if suite in (None, name)]
    if not chosen:
        raise SettingsError(f"--suite is {suite!r}; there are {', '.join(SUITES)}")
    outcomes: list[dict[str, Any]] = []
    with run_lock(settings, "check", wait_seconds):
        ledger = open_ledger(settings)
        try:
            with recorded_run(ledger, "check", settings.target) as run_id:
                for name in chosen:
                    result = check_and_record(settings, ledger, run_id, name, now())
                    for outcome in result.outcomes:
                        plain = replace(outcome, failing_keys=(), failing_rows=())
                        outcomes.append({"suite": name, **vars(plain)})
            docs = build_docs(settings, as_of=now(), history=read_history(ledger, now()))
        finally:
            ledger.dispose()
    succeeded = all(outcome["status"] == PASSED for outcome in outcomes)
    return {"succeeded": succeeded, "docs": str(docs), "outcomes": outcomes}


def show(console: Console, report: dict[str, Any]) -> None:
    """Print the verdicts for a person, what failed first."""
    table = Table()
    for name in ("suite", "rule", "table", "verdict", "failing", "observed"):
        table.add_column(name)
    for outcome in sorted(report["outcomes"], key=lambda one: one["status"] == PASSED):
        colour = "green" if outcome["status"] == PASSED else "red"
        table.add_row(
            outcome["suite"],
            outcome["rule"],
            outcome["table"] or "",
            Text(outcome["status"], colour),
            f"{outcome['failing_count']:,}",
            outcome["observed"] or "",
        )
    console.print(table)
    console.print("As pages:", report["docs"], soft_wrap=True, highlight=False)
