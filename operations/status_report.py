"""`warehouse status`: ledger and warehouse ─▶ what ran, how far the data is, what is held back."""

from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from ledger.balance import balances
from ledger.dead_letters import LetterFilter, find
from ledger.engine import open_ledger
from ledger.runs import recent_runs, syncs
from ledger.settings import Settings
from ledger.tables import circuit_breakers, stream_positions

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
            positions = connection.execute(select(stream_positions)).mappings().all()
        runs, entities = recent_runs(ledger, RUNS), syncs(ledger)
        ways, letters = balances(ledger), len(find(ledger, LetterFilter()))
    finally:
        ledger.dispose()
    return {
        "target": settings.target,
        "home": str(settings.home),
        "runs": [_plain(row) for row in runs],
        "syncs": [_plain(row) for row in sorted(entities, key=_by_entity)],
        "circuit_breakers": [_plain(row) for row in breakers],
        "stream_positions": [_plain(row) for row in positions],
        "balances": [vars(balance) | {"balanced": balance.balanced} for balance in ways],
        "dead_letters": letters,
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
    figures = ("received", "landed", "duplicate", "dead", "waiting")
    _print(console, "All ways in", report["balances"], ("way_in", "source", *figures))
    if report["stream_positions"]:
        place = ("topic", "partition", "next_offset", "lag", "observed_at")
        _print(console, "Stream", report["stream_positions"], place)
    console.print(f"{report['dead_letters']:,} open dead letters; see warehouse dead-letters list")


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
