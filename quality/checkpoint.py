"""What the rest of the project asks of this package: verdicts, and pages that show them.

Great Expectations takes seconds to import: the first check does it, not the command line.
"""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Literal

from ledger.quality import SuiteResult
from ledger.settings import Settings
from quality.history import History


def check(
    settings: Settings,
    suite: Literal["raw", "marts"],
    *,
    as_of: datetime,
    tables: Collection[str] | None = None,
    history: History | None = None,
    compares_history: bool = True,
) -> SuiteResult:
    """Ask every rule of a suite, or those of some tables (`core.fct_sales`).

    Without `compares_history` rules are left out that read all that was ever landed.

    The warehouse is opened read-only and closed again. Tables that are not there are not judged,
    unless the history knows them as published. Without a history nothing is compared with it.

    Raises:
        TargetError: the warehouse cannot be opened.
        SettingsError: the thresholds cannot be read.
    """
    from quality.runner import run

    return run(
        *(settings, suite),
        as_of=as_of,
        tables=tables,
        history=history,
        compares_history=compares_history,
    )


def build_docs(settings: Settings, *, as_of: datetime, history: History | None = None) -> Path:
    """Check everything and write Data Docs below `<home>/data_docs`; gives the first page.

    Raises:
        TargetError: the warehouse cannot be opened.
    """
    from quality.docs import build

    return build(settings, as_of=as_of, history=history)
