"""What a killed process does: a sync of the commerce source and a build, in its own process.

They come from a fork server that has imported everything, so they start at once
and share no thread and no connection with the test.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dlt.common.storages.load_package import PackageStorage

from ledger.engine import open_ledger
from ledger.lock import run_lock
from ledger.runs import recorded_run
from ledger.settings import Settings
from loaders.sources import SOURCES
from loaders.sources.base import configured
from loaders.sync import SourceSync
from operations.dbt_runner import build
from operations.service.serve import serve
from operations.service.settings import ServiceSettings
from serving.export_files import export_to_file
from serving.exports import ExportRequest

from .parsed import keep, packed

AIMS = {
    "package made, nothing written": (PackageStorage, "start_job"),
    "job written, not noted": (PackageStorage, "complete_job"),
    "load complete, not noted": (PackageStorage, "complete_loading_package"),
}
context = multiprocessing.get_context("forkserver")
# Not this module: the fork server does not know the tests' path.
context.set_forkserver_preload(
    [
        "pytest",
        "loaders.sync",
        "loaders.sources",
        "operations.dbt_shortcuts",
        "operations.service.serve",
        "serving.export_files",
        "dlt.destinations.impl.duckdb.duckdb",
    ]
)
FACTS = ("+fct_sales",)


def start(
    settings: Settings, environment: dict[str, str], aim: str | None = None, *, modelled: bool
) -> Any:
    """Start a sync, and a build of the facts, in a process; with an aim, it kills itself there."""
    arguments = (settings, environment, aim, packed(settings) if modelled else None)
    process = context.Process(target=_run, args=arguments, daemon=True)
    process.start()
    return process


def _run(
    settings: Settings, environment: dict[str, str], aim: str | None, parsed: bytes | None
) -> None:
    os.environ.update(environment)
    if aim is not None:
        owner, name = AIMS[aim]
        setattr(owner, name, _dying(getattr(owner, name)))
    ledger = open_ledger(settings)
    with run_lock(settings, "sync", 10), recorded_run(ledger, "sync", settings.target) as run_id:
        source = configured(SOURCES["commerce"])
        SourceSync(settings, ledger, source, run_id, full=False).run(lambda *_: None)
        if parsed is not None:
            keep(settings, parsed)
            result = build(settings, FACTS, command="run")
            assert result.succeeded, result.failures


def _dying(method: Callable[..., Any]) -> Callable[..., Any]:
    """Dies in place of the method."""

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    return die


def start_service(settings: Settings, environment: dict[str, str], port: int, group: str) -> Any:
    """Start the service in a process; each has a consumer group of its own, to join at once."""
    arguments = (settings, environment, port, group, packed(settings))
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    return process


def _serve(
    settings: Settings, environment: dict[str, str], port: int, group: str, parsed: bytes
) -> None:
    keep(settings, parsed)
    os.environ.update(environment | {"STREAM__GROUP_ID": group})
    serve(settings, ServiceSettings(port=port, cycle_seconds=0.2))


def start_export(settings: Settings, request: ExportRequest, out: Path) -> Any:
    """Start an export into a file in a process."""
    process = context.Process(target=_export, args=(settings, request, out), daemon=True)
    process.start()
    return process


def _export(settings: Settings, request: ExportRequest, out: Path) -> None:
    ledger = open_ledger(settings)
    export_to_file(
        settings, ledger, request, out, resume=False, progress=lambda *_: None, say=print
    )
