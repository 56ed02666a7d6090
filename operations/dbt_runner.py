"""Runs dbt in this process: settings ─▶ environment of `profiles.example.yml` ─▶ dbtRunner.

What analysts run by hand and what the pipeline runs is one project with one profile.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner, dbtRunnerResult

from ledger.errors import BuildError
from ledger.settings import Settings

PROJECT = Path(__file__).parents[1]
FAILED = ("error", "fail", "runtime error", "partial success")
NODE_EVENTS = ("LogModelResult", "LogTestResult", "LogSeedResult", "LogSnapshotResult")
NodeDone = Callable[[str, int, int], None]


@dataclass
class BuildResult:
    """What dbt did: number of nodes by status, failures as (node, message), rows by model."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


def build(
    settings: Settings,
    selectors: Sequence[str] = (),
    *,
    full_refresh: bool = False,
    as_of: datetime | None = None,
    node_done: NodeDone | None = None,
    command: str = "build",
    manifest: Any = None,
) -> BuildResult:
    """`dbt build` (or another command) of the selected nodes; failed nodes are in the result.

    A process that builds again and again passes the `manifest` that `parse` gave it.

    Raises:
        BuildError: dbt could not start: a selector, a model or the database is at fault.
    """
    arguments = [command]
    if selectors:
        arguments += ["--select", *selectors]
    if full_refresh:
        arguments.append("--full-refresh")
    if as_of is not None:
        arguments += ["--vars", json.dumps({"as_of": as_of.isoformat()})]
    outcome = invoke(settings, arguments, node_done, manifest)
    results = getattr(outcome.result, "results", None)
    if results is None:
        reason = str(outcome.exception or "no reason given").strip().splitlines()
        raise BuildError(f"dbt {command} did not start: {' '.join(reason[:3])}")
    if selectors and not results:
        raise BuildError(f"nothing is called {' '.join(selectors)!r}; see `dbt ls` for the names")
    return _summary(results)


def parse(settings: Settings) -> Any:
    """The project as dbt knows it, for `build`: parsing costs seconds, more when `as_of` changed.

    Raises:
        BuildError: the project cannot be parsed.
    """
    outcome = invoke(settings, ["parse"])
    if not outcome.success:
        raise BuildError(f"dbt cannot parse the project: {outcome.exception}")
    return outcome.result


def invoke(
    settings: Settings,
    arguments: Sequence[str],
    node_done: NodeDone | None = None,
    manifest: Any = None,
) -> dbtRunnerResult:
    """Run a dbt command quietly; its log is in `<home>/logs`. A kept `manifest` spares parsing."""
    profiles = settings.home / "profiles"
    profiles.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "profiles.example.yml", profiles / "profiles.yml")
    os.environ.update(_environment(settings))
    callbacks = [_progress(node_done)] if node_done else []
    runner = dbtRunner(manifest=manifest, callbacks=callbacks)
    return runner.invoke(
        [
            "--log-level",
            "none",
            "--log-path",
            str(settings.home / "logs"),
            *arguments,
            "--target",
            settings.target,
            "--project-dir",
            str(PROJECT),
            "--profiles-dir",
            str(profiles),
            "--target-path",
            str(settings.home / "target"),
        ]
    )


def _environment(settings: Settings) -> dict[str, str]:
    values = {"WAREHOUSE_HOME": str(settings.home), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    if settings.postgres_url is not None:
        for name, value in settings.postgres_parameters().items():
            values[f"WAREHOUSE_POSTGRES_{name.upper()}"] = str(value)
    return values


def _progress(node_done: NodeDone) -> Callable[[Any], None]:
    def on_event(event: Any) -> None:
        if event.info.name in NODE_EVENTS:
            data = event.data
            total = getattr(data, "total", 0) or getattr(data, "num_models", 0)
            node_done(data.node_info.node_name, data.index, total)

    return on_event


def _summary(results: Sequence[Any]) -> BuildResult:
    summary = BuildResult()
    for result in results:
        status = str(result.status)
        summary.counts[status] = summary.counts.get(status, 0) + 1
        summary.seconds += result.execution_time or 0.0
        if status in FAILED:
            message = " ".join((result.message or "no message").split())
            summary.failures.append((result.node.unique_id, message))
    return summary
