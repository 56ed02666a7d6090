"""`warehouse docs`: dbt docs, Data Docs and the dashboard, linked from one offline page."""

import shutil
from html import escape
from pathlib import Path

from ledger.engine import open_ledger
from ledger.errors import BuildError
from ledger.lock import run_lock
from ledger.runs import now
from ledger.settings import Settings
from operations.dashboard_command import address
from operations.dbt_runner import invoke
from quality import build_docs, read_history

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Customer health warehouse</title>
<style>
body {{ font-family: sans-serif; max-width: 40rem; margin: 3rem auto; line-height: 1.6 }}
</style>
</head>
<body>
<h1>Customer health warehouse</h1>
<ul>
<li><a href="{dashboard}">Dashboard</a>: company health, sales, pipeline (start it with
<code>warehouse dashboard</code>)</li>
<li><a href="docs/dbt.html">dbt docs</a>: every model, column, test and where it comes from</li>
<li><a href="data_docs/index.html">Data Docs</a>: every expectation on raw and marts, and whether it
holds</li>
</ul>
<p>Written {at}.</p>
</body>
</html>
"""


def write_docs(settings: Settings, wait_seconds: float) -> Path:
    """Write all pages below the home; gives the one that links them.

    Raises:
        BuildError: dbt cannot describe the project.
        WarehouseError: the database cannot be read, or is in use.
    """
    with run_lock(settings, "docs", wait_seconds):
        outcome = invoke(settings, ["docs", "generate", "--static"])
        if not outcome.success:
            raise BuildError(f"dbt cannot write its docs: {outcome.exception or 'see its log'}")
        folder = settings.home / "docs"
        folder.mkdir(exist_ok=True)
        shutil.copyfile(settings.home / "target" / "static_index.html", folder / "dbt.html")
        ledger = open_ledger(settings)
        try:
            build_docs(settings, as_of=now(), history=read_history(ledger, now()))
        finally:
            ledger.dispose()
    index = settings.home / "index.html"
    text = PAGE.format(dashboard=escape(address()), at=f"{now():%Y-%m-%d %H:%M} UTC")
    index.write_text(text, encoding="utf-8")
    return index
