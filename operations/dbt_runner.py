"""Runs dbt in this process: settings ─▶ environment of `profiles.example.yml` ─▶ dbtRunner.

What analysts run by hand and what the pipeline runs is one project with one profile. dbt takes
seconds to import: the first command of dbt does it, not the command line.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.errors import BuildError
from ledger.runs import current_run_id
from ledger.settings import Settings
from ledger.unreadable import HELD, unreadable
from loaders.duckdb_file import make_working_file
from loaders.target import Target
from operations import interrupts
from operations.dbt_results import BuildResult, summarise

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

PROJECT = Path(__file__).parents[1]
NODE_EVENTS = ("LogModelResult", "LogTestResult", "LogSeedResult", "LogSnapshotResult")
NodeDone = Callable[[str, int, int], None]
PROFILE_PARAMETERS = (
    *("host", "port", "user", "password", "dbname"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey"),
    *("connect_timeout", "keepalives_idle", "application_name"),
)
"""What `profiles.example.yml` reads from variables `WAREHOUSE_POSTGRES_…`."""
manifests: dict[tuple[str, str], Any] = {}
"""What this process has parsed, by `manifest_key`."""


def build(
    settings: Settings,
    selectors: Sequence[str] = (),
    *,
    exclude: Sequence[str] = (),
    full_refresh: bool = False,
    as_of: datetime | None = None,
    only_changes: bool = False,
    indirect_selection: str = "eager",
    node_done: NodeDone | None = None,
    command: str = "build",
) -> BuildResult:
    """`dbt build` (or another command) of the selected nodes; failed nodes are in the result.

    With `only_changes` tests look at the rows that readers do not see yet. `indirect_selection` is
    dbt's: which tests come with a model. With `empty` a test is in or out by its own name or place:
    leaving out a model keeps the tests that read it.

    Raises:
        BuildError: dbt could not start: a selector, a model or the database is at fault.
        TargetError: the warehouse's file cannot be made, or is open in another program.
    """
    make_working_file(settings)
    arguments = [command, "--indirect-selection", indirect_selection]
    if selectors:
        arguments += ["--select", *selectors]
    if exclude:
        arguments += ["--exclude", *exclude]
    if full_refresh:
        arguments.append("--full-refresh")
    variables: dict[str, Any] = {"only_changes": True} if only_changes else {}
    if as_of is not None:
        variables["as_of"] = as_of.isoformat()
    if variables:
        arguments += ["--vars", json.dumps(variables)]
    outcome = invoke(settings, arguments, node_done, parse(settings))
    results = getattr(outcome.result, "results", None)
    if results is None:
        if outcome.exception is not None and HELD.search(str(outcome.exception)):
            raise unreadable(settings, outcome.exception)
        reason = str(outcome.exception or "no reason given").strip().splitlines()
        raise BuildError(f"dbt {command} did not start: {' '.join(reason[:3])}")
    if selectors and not results:
        raise _nothing_called(selectors)
    return summarise(results)


def has_every_model(settings: Settings) -> bool:
    """Whether all models were built once: tests of one may read others.

    Raises:
        BuildError: the project cannot be parsed.
        TargetError: the warehouse cannot be opened.
    """
    query = "select table_schema, table_name from information_schema.tables"
    found = set(Target(settings).fetch(query))
    models = (node for node in parse(settings).nodes.values() if node.resource_type == "model")
    return all((model.schema, model.alias) in found for model in models)


def require_selection(settings: Settings, selectors: Sequence[str]) -> None:
    """Look whether there is something to build, before a run is recorded.

    Raises:
        BuildError: nothing is called so, or a selector makes no sense.
    """
    types = ("model", "test", "unit_test", "seed", "snapshot")
    only = [part for name in types for part in ("--resource-type", name)]
    arguments = ["list", "--select", *selectors, *only]
    outcome = invoke(settings, arguments, manifest=parse(settings))
    if outcome.exception is not None:
        reason = str(outcome.exception).strip().splitlines()
        raise BuildError(f"dbt cannot select {' '.join(selectors)!r}: {' '.join(reason[:3])}")
    if not outcome.result:
        raise _nothing_called(selectors)


def _nothing_called(selectors: Sequence[str]) -> BuildError:
    return BuildError(f"nothing is called {' '.join(selectors)!r}; see `dbt ls` for the names")


def parse(settings: Settings) -> Any:
    """The project's manifest, written to `<home>/target` too. A process reads the project once.

    Variables are not part of it: dbt would read everything anew for each `as_of` it is given.

    Raises:
        BuildError: the project cannot be parsed.
    """
    key = manifest_key(settings)
    if key not in manifests:
        outcome = invoke(settings, ["parse"])
        if not outcome.success:
            raise BuildError(f"dbt cannot parse the project: {outcome.exception}")
        manifests[key] = outcome.result
    return manifests[key]


def manifest_key(settings: Settings) -> tuple[str, str]:
    """All of the settings that a manifest holds: target and name of the database."""
    return settings.target, str(settings.postgres_url and settings.postgres_url.database)


def invoke(
    settings: Settings,
    arguments: Sequence[str],
    node_done: NodeDone | None = None,
    manifest: Any = None,
) -> "dbtRunnerResult":
    """Run a dbt command quietly; its log is `<home>/logs/dbt.log`. A `manifest` spares parsing."""
    from dbt.cli.main import dbtRunner

    from operations.dbt_shortcuts import end_command, take_shortcuts

    profiles = settings.home / "profiles"
    profiles.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "profiles.example.yml", profiles / "profiles.yml")
    os.environ.update(_environment(settings))
    take_shortcuts()
    callbacks = [_progress(node_done)] if node_done else []
    # `parse` has written it down already, and that takes longer than a model.
    written = []
    if manifest is not None:
        written = ["--no-write-json"]
        _forget_compiled(manifest)
    runner = dbtRunner(manifest=manifest, callbacks=callbacks)
    try:
        outcome = runner.invoke(
            [
                "--log-level",
                "none",
                "--log-level-file",
                "info",
                "--no-use-colors-file",
                "--log-path",
                str(settings.home / "logs"),
                *written,
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
    finally:
        end_command()
    # dbt catches it, and may go on to stumble over what was not done.
    if interrupts.received or isinstance(outcome.exception, KeyboardInterrupt):
        raise KeyboardInterrupt
    return outcome


def _forget_compiled(manifest: Any) -> None:
    """Undo what compiling leaves in a manifest: dbt puts ephemeral models into a node only once."""
    for node in manifest.nodes.values():
        if getattr(node, "extra_ctes_injected", False):
            node.extra_ctes, node.extra_ctes_injected = [], False
            node._pre_injected_sql = None


def _environment(settings: Settings) -> dict[str, str]:
    values = {
        "WAREHOUSE_HOME": str(settings.home),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # dbt writes what is named so into every line of its log (with DBT_LOG_FORMAT_FILE=json).
        "DBT_ENV_CUSTOM_ENV_RUN_ID": current_run_id.get() or "",
    }
    if settings.postgres_url is not None:
        for name, value in settings.postgres_parameters().items():
            # What dbt's profile cannot say, libpq takes from variables of its own.
            known = name in PROFILE_PARAMETERS
            key = f"WAREHOUSE_POSTGRES_{name}" if known else f"PG{name.replace('_', '')}"
            values[key.upper()] = str(value)
    return values


def _progress(node_done: NodeDone) -> Callable[[Any], None]:
    def on_event(event: Any) -> None:
        if event.info.name in NODE_EVENTS:
            data = event.data
            total = getattr(data, "total", 0) or getattr(data, "num_models", 0)
            node_done(data.node_info.node_name, data.index, total)

    return on_event
