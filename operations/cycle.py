"""The cycle: lock ─▶ sync the sources ─▶ build ─▶ one result that says whether all went well."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ledger.engine import open_ledger
from ledger.errors import BuildError, SettingsError, SourceError
from ledger.lock import run_lock
from ledger.runs import recorded_run
from ledger.settings import Settings
from loaders.reference import sync_reference
from loaders.sources import SOURCES
from loaders.sources.base import configured
from loaders.sync import EntitySync, SourceSync
from operations.dbt_runner import BuildResult, build
from operations.progress import Reporter

SHOWN_FAILURES = 10


@dataclass
class CycleResult:
    """What a command did."""

    run_id: str = ""
    syncs: list[EntitySync] = field(default_factory=list)
    build: BuildResult | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Whether nothing went wrong; rejected records are kept and do not count as wrong."""
        return not self.errors

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run_id": self.run_id,
            "succeeded": self.succeeded,
            "errors": self.errors,
            "syncs": [_sync_json(sync) for sync in self.syncs],
            "build": None if self.build is None else vars(self.build),
        }


@dataclass(frozen=True)
class Plan:
    """What a cycle is to do. `sources` None: no sync; `selectors` None: no build."""

    command: str
    sources: Sequence[str] | None = None
    selectors: Sequence[str] | None = None
    full: bool = False
    full_refresh: bool = False
    as_of: datetime | None = None
    wait_seconds: float = 0.0


def chosen_sources(names: Sequence[str]) -> list[str]:
    """The named sources, or all.

    Raises:
        SettingsError: a name is unknown.
    """
    for name in names:
        if name not in SOURCES:
            raise SettingsError(f"no source {name!r}; there are {', '.join(SOURCES)}")
    return list(dict.fromkeys(names)) or list(SOURCES)


def run_cycle(settings: Settings, plan: Plan, reporter: Reporter) -> CycleResult:
    """Do what `plan` says, under the run lock and recorded in the ledger.

    A source that fails does not keep the others, or the build, from running.

    Raises:
        WarehouseError: nothing could be done at all (settings, lock, database).
    """
    result = CycleResult()
    configurations = [configured(SOURCES[name]) for name in plan.sources or ()]
    with run_lock(settings, plan.command, plan.wait_seconds):
        ledger = open_ledger(settings)
        try:
            with recorded_run(ledger, plan.command, settings.target) as run_id:
                result.run_id = run_id
                if plan.sources is not None:
                    sync_reference(settings, ledger, run_id)
                for source in configurations:
                    sync = SourceSync(settings, ledger, source, run_id, full=plan.full)
                    _sync_one(sync, source.name, result, reporter)
                if plan.selectors is not None:
                    _build(settings, plan, result, reporter)
                if result.errors:
                    raise _FailedCycleError("; ".join(result.errors))
        except _FailedCycleError:
            pass
        finally:
            ledger.dispose()
    return result


class _FailedCycleError(Exception):
    """Carries the failures of a cycle into the ledger's row of the run."""


def _sync_one(sync: SourceSync, name: str, result: CycleResult, reporter: Reporter) -> None:
    try:
        with reporter.syncing(name) as progress:
            syncs = sync.run(progress)
    except SourceError as error:
        result.errors.append(str(error))
        return
    result.syncs.extend(syncs)
    result.errors.extend(dict.fromkeys(entity.error for entity in syncs if entity.error))


def _build(settings: Settings, plan: Plan, result: CycleResult, reporter: Reporter) -> None:
    try:
        with reporter.building() as node_done:
            result.build = build(
                settings,
                plan.selectors or (),
                full_refresh=plan.full_refresh,
                as_of=plan.as_of,
                node_done=node_done,
            )
    except BuildError as error:
        result.errors.append(str(error))
        return
    failures = result.build.failures
    result.errors.extend(f"dbt: {node}: {message}" for node, message in failures[:SHOWN_FAILURES])
    if len(failures) > SHOWN_FAILURES:
        more = len(failures) - SHOWN_FAILURES
        result.errors.append(f"dbt: {more} more failures; see {settings.home / 'logs' / 'dbt.log'}")


def _sync_json(sync: EntitySync) -> dict[str, Any]:
    return {
        "source": sync.entity.source,
        "entity": sync.entity.name,
        "status": sync.status,
        **vars(sync.counts),
        "cursor_before": sync.cursor_before and sync.cursor_before.isoformat(),
        "cursor_after": sync.cursor_after and sync.cursor_after.isoformat(),
        "error": sync.error,
    }
