"""`make bench`: every figure in a process of its own ─▶ a table, and JSON in benchmarks/results.

Each figure is a ratio of two things measured in the same run; `--quick` uses small sizes, to see
that the scripts work.
"""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SCRIPTS = (
    "landing",
    "incremental_sync",
    "incremental_build",
    "health_day",
    "webhook_intake",
    "freshness",
    "recovery",
    "stream",
    "quality",
    "publishing",
    "alerts",
    "exports",
    "metrics_api",
    "dashboard",
)
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run the chosen scripts; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scripts", nargs="*", default=SCRIPTS, help=", ".join(SCRIPTS))
    parser.add_argument("--quick", action="store_true", help="small sizes")
    options = parser.parse_args()
    figures: list[dict[str, Any]] = []
    failed = []
    for script in options.scripts:
        Console(stderr=True).print(f"[bold]{script}[/] …")
        command = [sys.executable, "-m", f"benchmarks.{script}", *["--quick"] * options.quick]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        figures += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode:
            failed.append(script)
    _show(figures)
    RESULTS.mkdir(exist_ok=True)
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    report = {"measured_at": moment, "quick": options.quick, "figures": figures, "failed": failed}
    (RESULTS / "latest.json").write_text(json.dumps(report, indent=2) + "\n")
    for script in failed:
        Console(stderr=True).print(f"[red]failed:[/] {script}")
    return 1 if failed else 0


def _show(figures: list[dict[str, Any]]) -> None:
    table = Table(title="Figures", title_justify="left")
    for name in ("figure", "engine", "ratio", "aim", "measured"):
        table.add_column(name, justify="right" if name in ("ratio", "aim") else "left")
    for figure in figures:
        met = figure["met"]
        colour = "green" if met else "red"
        ratio = f"[{colour}]{figure['ratio']:.3g}[/]"
        table.add_row(figure["name"], figure["engine"], ratio, figure["aim"], figure["measured"])
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    sys.exit(main())
