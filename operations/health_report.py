"""`warehouse health`: checks ─▶ what is wrong first, with what to do."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from operations.monitor.context import Check


def show(console: Console, checks: Sequence[Check]) -> None:
    """Print the checks for a person."""
    wrong = [check for check in checks if not check.is_healthy]
    verdict = Text(f"unhealthy: {len(wrong)} checks", "red") if wrong else Text("healthy", "green")
    console.print(verdict)
    table = Table()
    for name in ("check", "", "value", "threshold", "unit", "what to do"):
        table.add_column(name)
    for check in sorted(checks, key=lambda one: (one.is_healthy, one.name)):
        mark = Text("ok", "green") if check.is_healthy else Text("wrong", "red")
        figures = (f"{check.value:,.10g}", f"{check.threshold:,.10g}", check.unit)
        table.add_row(check.name, mark, *figures, check.advice)
    console.print(table)
