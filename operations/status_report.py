"""`warehouse status`: ledger and warehouse ─▶ what ran, how far the data is, what is held back."""

from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from ledger.engine import open_ledger
from ledger.runs import recent_runs, syncs
from ledger.settings import Settings
from ledger.tables import circuit_breakers
from loaders.target import Target
from operations.summary import DEAD_LETTERS

RUNS = 5


def collect(settings: Settings) -> dict[str, Any]:
    """Everything the command shows, as plain values.

    Raises:
        TargetError: ledger or warehouse cannot be read.
    """
    ledger = open_ledger(settings)
    try:
        with ledger.connect() as connection:
            breakers = connection.execute(select(circuit_breakers)).mappings().all()
        runs, entities = recent_runs(ledger, RUNS), syncs(ledger)
    finally:
        ledger.dispose()
    exists = settings.postgres_url is not None or settings.warehouse_path.exists()
    letters = Target(settings).fetch(DEAD_LETTERS) if exists else []
    return {
        "target": settings.target,
        "home": str(settings.home),
        "runs": [_plain(row) for row in runs],
        "syncs": [_plain(row) for row in sorted(entities, key=_by_entity)],
        "circuit_breakers": [_plain(row) for row in breakers],
        "dead_letters": sum(row[3] for row in letters),
    }


def show(console: Console, report: dict[str, Any]) -> None:
    """Print the report for a person."""
    console.print(f"target {report['target']}, home {report['home']}")
    if not report["runs"]:
        console.print("Nothing has run yet. Start with: warehouse init, or warehouse demo")
        return
    _print(console, "Last runs", report["runs"], ("started_at", "command", "status", "error"))
    names = ("source", "entity", "status", "received", "landed", "duplicate", "dead")
    _print(console, "Newest sync", report["syncs"], (*names, "cursor_after", "error"))
    opened = [row for row in report["circuit_breakers"] if row["state"] != "closed"]
    if opened:
        _print(console, "Circuit breakers", opened, ("source", "state", "opened_at"))
    console.print(f"{report['dead_letters']:,} rejected records in raw.dead_letters")


def _print(
    console: Console, title: str, rows: list[dict[str, Any]], names: tuple[str, ...]
) -> None:
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*("-" if row[name] is None else str(row[name]) for name in names))
    console.print(table)


def _plain(row: Any) -> dict[str, Any]:
    return {
        name: value.isoformat(timespec="seconds") if hasattr(value, "isoformat") else value
        for name, value in row.items()
    }


def _by_entity(row: Any) -> tuple[str, str]:
    return row["source"], row["entity"]
