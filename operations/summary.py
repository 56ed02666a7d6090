"""What a person reads after a run: warehouse and result ─▶ Rich tables."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.dead_letters import LetterFilter, find
from ledger.engine import open_ledger
from ledger.publications import Publication
from ledger.settings import Settings
from operations.dbt_results import BuildResult
from operations.plan import CycleResult
from serving.reader import Reader

AT_RISK = """
select
    metrics.company_id,
    metrics.company_name,
    metrics.health_score,
    metrics.health_band,
    components.component,
    components.points,
    components.max_points,
    components.reason
from health.company_health_metrics as metrics
join health.company_health_components as components
    on components.company_id = metrics.company_id
where metrics.company_id in (
    select company_id from health.company_health_metrics
    order by health_score, company_id limit 10
)
order by metrics.health_score, metrics.company_id, components.component
"""
AT_RISK_COLUMNS = (
    "company_id",
    "company_name",
    "health_score",
    "health_band",
    "component",
    "points",
    "max_points",
    "reason",
)
DAILY_SALES_COLUMNS = (
    "sales_date",
    "order_count",
    "total_revenue",
    "average_order_value",
    "unique_customers",
)
DAILY_SALES = """
select sales_date, order_count, total_revenue, average_order_value, unique_customers
from sales.daily_sales order by sales_date desc limit 7
"""
METRICS_TODAY = """
select currency, purchases, revenue, active_users from sales.metrics_today order by currency
"""

WIDTH = 140


def open_console(*, quiet: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for every table when there is none."""
    width = None if sys.stdout.isatty() else WIDTH
    return Console(quiet=quiet, width=width, markup=False, highlight=False)


def print_syncs(console: Console, result: CycleResult) -> None:
    """received = landed + duplicate + dead, for every entity."""
    table = Table(title="Synced", title_justify="left")
    for name in ("source", "entity"):
        table.add_column(name)
    for name in ("received", "landed", "duplicate", "dead", "deleted"):
        table.add_column(name, justify="right")
    table.add_column("complete up to (UTC)")
    for sync in result.syncs:
        counts = sync.counts
        figures = (counts.received, counts.landed, counts.duplicate, counts.dead, counts.deleted)
        state = Text("failed", "red") if sync.error else Text(_minute(sync.cursor_after))
        row = (sync.entity.source, sync.entity.name, *(f"{figure:,}" for figure in figures))
        table.add_row(*row, state)
    console.print(table)


def print_build(console: Console, result: BuildResult) -> None:
    """One line: how many nodes ended how."""
    parts = [f"{count:,} {status}" for status, count in sorted(result.counts.items())]
    colour = "green" if result.succeeded else "red"
    console.print(Text.assemble(("Built", colour), f": {', '.join(parts)}"))


def print_publication(console: Console, publication: Publication) -> None:
    """Which version readers see now."""
    console.print(Text.assemble(("Published", "green"), f": version {publication.version}"))


def print_dead_letters(console: Console, settings: Settings, limit: int = 12) -> None:
    """What was rejected and why, by any way in."""
    ledger = open_ledger(settings)
    letters = find(ledger, LetterFilter())
    ledger.dispose()
    if not letters:
        return
    table = Table(title="Rejected, kept as dead letters", title_justify="left")
    for name in ("way in", "source", "entity", "reason"):
        table.add_column(name)
    for letter in letters[:limit]:
        table.add_row(*(letter[name] for name in ("way_in", "source", "entity", "error")))
    if len(letters) > limit:
        table.add_row("", "", "", f"… and {len(letters) - limit} more: warehouse dead-letters list")
    console.print(table)


def print_balances(console: Console, balances: Sequence[dict[str, Any]]) -> None:
    """received = landed + duplicate + dead + waiting, by way in."""
    table = Table(title="All ways in", title_justify="left")
    for name in ("way in", "source"):
        table.add_column(name)
    figures = ("received", "landed", "duplicate", "dead", "waiting")
    for name in figures:
        table.add_column(name, justify="right")
    for balance in balances:
        row = (balance["way_in"], balance["source"])
        table.add_row(*row, *(f"{balance[name]:,}" for name in figures))
    console.print(table)


def print_today(console: Console, reader: Reader) -> None:
    """What users do today, by currency."""
    table = Table(title="Today, from the topic", title_justify="left")
    table.add_column("currency")
    for name in ("purchases", "revenue", "active users"):
        table.add_column(name, justify="right")
    for currency, purchases, revenue, users in reader.fetch(METRICS_TODAY):
        table.add_row(currency, f"{purchases:,}", f"{float(revenue):,.2f}", f"{users:,}")
    console.print(table)


def print_at_risk(console: Console, reader: Reader) -> None:
    """The ten companies with the lowest score: points by component, and where most are lost."""
    companies: dict[str, list[tuple[Any, ...]]] = {}
    for company_id, *row in reader.fetch(AT_RISK):
        companies.setdefault(company_id, []).append(tuple(row))
    if not companies:
        console.print("Most at risk: no active company is known")
        return
    table = Table(title="Most at risk", title_justify="left")
    table.add_column("company")
    table.add_column("score", justify="right")
    table.add_column("band")
    for component in next(iter(companies.values()), []):
        table.add_column(component[3], justify="right")
    table.add_column("why")
    for components in companies.values():
        company, score, band = components[0][:3]
        points = [f"{float(c[4]):.3g}/{float(c[5]):g}" for c in components]
        worst = sorted(components, key=lambda c: c[4] - c[5])
        why = "; ".join(c[6] for c in worst if c[4] < c[5])
        table.add_row(company, str(score), band, *points, why)
    console.print(table)


def print_daily_sales(console: Console, reader: Reader) -> None:
    """The newest days."""
    table = Table(title="Daily sales, newest days", title_justify="left")
    table.add_column("day")
    for name in ("orders", "revenue", "average order", "customers"):
        table.add_column(name, justify="right")
    for day, orders, revenue, average, customers in reader.fetch(DAILY_SALES):
        money = [f"{float(value or 0):,.2f}" for value in (revenue, average)]
        table.add_row(str(day), f"{orders:,}", *money, f"{customers:,}")
    console.print(table)


def at_risk(reader: Reader) -> list[dict[str, Any]]:
    """What `print_at_risk` shows, a row a company and component."""
    return _as_json(reader, AT_RISK, AT_RISK_COLUMNS)


def daily_sales(reader: Reader) -> list[dict[str, Any]]:
    """What `print_daily_sales` shows."""
    return _as_json(reader, DAILY_SALES, DAILY_SALES_COLUMNS)


def _as_json(reader: Reader, query: str, names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            name: value if isinstance(value, int | str | None) else str(value)
            for name, value in zip(names, row, strict=True)
        }
        for row in reader.fetch(query)
    ]


def _minute(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
