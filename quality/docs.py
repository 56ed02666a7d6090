"""Data Docs: what Great Expectations says of every table ─▶ static pages below `<home>/data_docs`.

Its pages load their looks and scripts from the network. Here they are given looks of their own and
no script, so that they open from a disk, and nobody is told who reads them. Pages are written
beside the old ones and change places with them when all are there.
"""

import html
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from ledger.settings import Settings
from quality.history import History
from quality.runner import SuiteName, TableResult, documented

SUITES: tuple[SuiteName, ...] = ("raw", "marts")
# Anything that a browser would fetch by itself, and an advertisement.
FETCHED = re.compile(
    r"<footer>.*?</footer>|<link\b[^>]*>|<script\b.*?</script>|<img\b[^>]*>|<iframe\b.*?</iframe>"
    r"|@import[^;]*;|url\([^)]*\)",
    re.DOTALL | re.IGNORECASE,
)


def build(settings: Settings, *, as_of: datetime, history: History | None = None) -> Path:
    """See `quality.build_docs`."""
    folder = settings.home / "data_docs"
    fresh = settings.home / "data_docs.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    results = {suite: documented(settings, suite, as_of=as_of, history=history) for suite in SUITES}
    for suite, tables in results.items():
        for table in tables:
            page = _page(suite, table, as_of)
            (fresh / _file(suite, table)).write_text(page, encoding="utf-8")
    (fresh / "index.html").write_text(_index(results, as_of), encoding="utf-8")
    old = settings.home / "data_docs.old"
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder / "index.html"


def _file(suite: str, table: TableResult) -> str:
    return f"{suite}-{table.place}.html"


def _page(suite: str, table: TableResult, as_of: datetime) -> str:
    result = table.result
    result.meta["run_id"] = RunIdentifier(run_name=f"{suite} {table.place}", run_time=as_of)
    result.meta["validation_time"] = as_of
    document = ValidationResultsPageRenderer().render(result)
    return _offline(DefaultJinjaPageView().render(document))


def _offline(page: str) -> str:
    style = files("quality").joinpath("docs.css").read_text(encoding="utf-8")
    return FETCHED.sub("", page).replace("</head>", f"<style>{style}</style></head>", 1)


def _index(results: dict[SuiteName, list[TableResult]], as_of: datetime) -> str:
    parts = [_section(suite, tables) for suite, tables in results.items()]
    moment = as_of.astimezone(UTC).isoformat(timespec="seconds")
    return _offline(
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Data quality</title>"
        f"</head><body><div class='container'><h1>Data quality</h1><p>As of {moment}.</p>"
        f"{''.join(parts)}</div></body></html>"
    )


def _section(suite: SuiteName, tables: Sequence[TableResult]) -> str:
    rows = "".join(_row(suite, table) for table in tables)
    head = "<tr><th>Table</th><th>Rules</th><th>Not fulfilled</th></tr>"
    return f"<h2>{suite}</h2><table class='table'>{head}{rows}</table>"


def _row(suite: SuiteName, table: TableResult) -> str:
    statistics: Any = table.result.statistics
    failed = statistics["unsuccessful_expectations"]
    link = f"<a href='{html.escape(_file(suite, table))}'>{html.escape(table.place)}</a>"
    colour = "failed" if failed else "succeeded"
    number = statistics["evaluated_expectations"]
    return f"<tr class='{colour}'><td>{link}</td><td>{number}</td><td>{failed}</td></tr>"
