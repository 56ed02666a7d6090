"""What a person reads after a run: warehouse and result ─▶ Rich tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from loaders.target import Target
from operations.cycle import CycleResult
from operations.dbt_runner import BuildResult

AT_RISK = """
select
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
DAILY_SALES = """
select sales_date, order_count, total_revenue, average_order_value, unique_customers
from sales.daily_sales order by sales_date desc limit 7
"""
DEAD_LETTERS = """
select source, entity, error, count(distinct dead_letter_id)
from raw.dead_letters
where _dlt_load_id in (select load_id from raw._dlt_loads where status = 0)
group by source, entity, error order by source, entity, error
"""


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
        state = "[red]failed[/]" if sync.error else _minute(sync.cursor_after)
        row = (sync.entity.source, sync.entity.name, *(f"{figure:,}" for figure in figures))
        table.add_row(*row, state)
    console.print(table)


def print_build(console: Console, result: BuildResult) -> None:
    """One line: how many nodes ended how."""
    parts = [f"{count:,} {status}" for status, count in sorted(result.counts.items())]
    colour = "green" if result.succeeded else "red"
    console.print(f"[{colour}]Built[/]: {', '.join(parts)}")


def print_dead_letters(console: Console, target: Target, limit: int = 12) -> None:
    """Why records were rejected."""
    rows = target.fetch(DEAD_LETTERS)
    if not rows:
        return
    table = Table(title="Rejected, kept in raw.dead_letters", title_justify="left")
    for name in ("source", "entity", "reason"):
        table.add_column(name)
    for source, entity, error, _ in rows[:limit]:
        table.add_row(source, entity, error)
    if len(rows) > limit:
        table.add_row("", "", f"… and {len(rows) - limit} more")
    console.print(table)


def print_at_risk(console: Console, target: Target) -> None:
    """The ten companies with the lowest score, and why."""
    rows = target.fetch(AT_RISK)
    table = Table(title="Most at risk", title_justify="left")
    table.add_column("company")
    table.add_column("score", justify="right")
    for name in ("band", "component", "points", "reason"):
        table.add_column(name)
    previous = None
    for company, score, band, component, points, maximum, reason in rows:
        head = (company, str(score), band) if company != previous else ("", "", "")
        if previous is not None and company != previous:
            table.add_section()
        points_text = f"{float(points):g} / {float(maximum):g}"
        table.add_row(*head, component, points_text, reason)
        previous = company
    console.print(table)


def print_daily_sales(console: Console, target: Target) -> None:
    """The newest days."""
    table = Table(title="Daily sales, newest days", title_justify="left")
    table.add_column("day")
    for name in ("orders", "revenue", "average order", "customers"):
        table.add_column(name, justify="right")
    for day, orders, revenue, average, customers in target.fetch(DAILY_SALES):
        money = [f"{float(value or 0):,.2f}" for value in (revenue, average)]
        table.add_row(str(day), f"{orders:,}", *money, f"{customers:,}")
    console.print(table)


def rows_as_json(target: Target, query: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of a query with text for what JSON does not know."""
    return [
        {
            name: value if isinstance(value, int | str | None) else str(value)
            for name, value in zip(names, row, strict=True)
        }
        for row in target.fetch(query)
    ]


def _minute(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
