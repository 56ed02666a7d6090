"""The cycle: lock ─▶ land what was pushed ─▶ sync ─▶ build ─▶ one result that says how it went.

The commands run one cycle; the service runs one every few seconds and builds only what is
downstream of the raw tables that have news.
"""

import logging
from collections.abc import Sequence

from sqlalchemy import Engine

from ledger.engine import open_ledger
from ledger.errors import BuildError, SettingsError, SourceError, TargetError
from ledger.lock import run_lock
from ledger.publications import current_publication
from ledger.runs import recorded_run
from ledger.settings import Settings
from loaders.accounts import recover_figures
from loaders.dbt_sources import selectors_of
from loaders.dead_letters import register_landed
from loaders.inbox_landing import InboxLanding
from loaders.reference import sync_reference
from loaders.sources import SOURCES
from loaders.sources.base import configured
from loaders.sync import SourceSync
from loaders.target import Target
from operations.audit import audit_and_publish, check_and_record, fails_a_test, record_build
from operations.dbt_runner import build, has_every_model
from operations.idle_tests import idle_tests
from operations.plan import CycleResult, Plan
from operations.progress import Reporter

SHOWN_FAILURES = 10
log = logging.getLogger("warehouse")
INNER_TESTS = ("resource_type:unit_test", "tag:inner")


def chosen_sources(names: Sequence[str]) -> list[str]:
    """The named sources, or all.

    Raises:
        SettingsError: a name is unknown.
    """
    for name in names:
        if name not in SOURCES:
            raise SettingsError(f"no source {name!r}; there are {', '.join(SOURCES)}")
    return list(dict.fromkeys(names)) or list(SOURCES)


def run_cycle(
    settings: Settings, plan: Plan, reporter: Reporter, ledger: Engine | None = None
) -> CycleResult:
    """Do what `plan` says, under the run lock and recorded in the ledger.

    A source that fails does not keep the others, or the build, from running.

    Raises:
        WarehouseError: nothing could be done at all (settings, lock, database).
    """
    result = CycleResult()
    configurations = [configured(SOURCES[name]) for name in plan.sources or ()]
    with run_lock(settings, plan.command, plan.wait_seconds):
        own = ledger is None
        ledger = ledger or open_ledger(settings)
        try:
            with recorded_run(ledger, plan.command, settings.target) as run_id:
                result.run_id = run_id
                recover_figures(Target(settings), ledger)
                if plan.sources is not None:
                    _land_pushed(settings, ledger, plan, result)
                if configurations:
                    sync_reference(settings, ledger, run_id)
                for source in configurations:
                    sync = SourceSync(settings, ledger, source, run_id, full=plan.full)
                    _sync_one(sync, source.name, result, reporter)
                if result.dead:
                    register_landed(Target(settings), ledger)
                if _is_raw_due(plan, result):
                    _check_raw(settings, ledger, plan, result)
                _build_if_asked(settings, ledger, plan, result, reporter)
                if result.build is not None or plan.publishes:
                    _publish(settings, ledger, plan, result)
                if result.errors:
                    raise _FailedCycleError("; ".join(result.errors))
        except _FailedCycleError:
            pass
        finally:
            if own:
                ledger.dispose()
    return result


class _FailedCycleError(Exception):
    """Carries the failures of a cycle into the ledger's row of the run."""


def _land_pushed(settings: Settings, ledger: Engine, plan: Plan, result: CycleResult) -> None:
    landing = plan.inbox
    if landing is None:
        landing = InboxLanding(settings, ledger)
        landing.heal()
    result.inbox = landing.run()
    if result.inbox.landed or result.inbox.dead:
        log.info("%d events landed, %d dead", result.inbox.landed, result.inbox.dead)
    if plan.stream is not None:
        result.stream = plan.stream.land(result.run_id)
        if result.stream and result.stream.counts.received:
            counts = result.stream.counts
            log.info("%d messages landed, %d dead", counts.landed, counts.dead)


def _build_if_asked(
    settings: Settings, ledger: Engine, plan: Plan, result: CycleResult, reporter: Reporter
) -> None:
    if plan.news is None:
        if plan.selectors is not None:
            _build(settings, plan, plan.selectors, result, reporter)
        return
    news = plan.news | result.news
    if selectors := selectors_of(news):
        only_changes = not fails_a_test(ledger)
        idle = idle_tests(settings, news) if only_changes else ()
        _build(settings, plan, selectors, result, reporter, only_changes=only_changes, idle=idle)


def _is_raw_due(plan: Plan, result: CycleResult) -> bool:
    """After a pull or a replay, and with every build of everything: events may be all there is."""
    builds_all = plan.sources is not None and plan.selectors is not None and not plan.selectors
    is_to_be_judged = result.inbox is not None and result.inbox.is_to_be_judged
    return bool(result.syncs) or is_to_be_judged or (builds_all and plan.tests)


def _check_raw(settings: Settings, ledger: Engine, plan: Plan, result: CycleResult) -> None:
    """Look at what landed. What is amiss is told, and does not hold the marts back."""
    as_of = plan.as_of or result.started_at
    try:
        checked = check_and_record(settings, ledger, result.run_id, "raw", as_of)
    except TargetError as error:
        result.errors.append(str(error))
        return
    for outcome in checked.failures:
        result.warnings.append(f"raw: {outcome.rule}: {outcome.observed or outcome.status}")
        log.warning("raw: %s does not hold", outcome.rule)


def _publish(settings: Settings, ledger: Engine, plan: Plan, result: CycleResult) -> None:
    """Keep what dbt said, audit the marts, and show them to readers if they pass."""
    try:
        if result.build is not None:
            complete = plan.selectors is not None and not plan.selectors and plan.tests
            record_build(settings, ledger, result.run_id, result.build, complete=complete)
        as_of = plan.as_of or result.started_at
        result.publication, reason = audit_and_publish(
            *(settings, ledger, result.run_id, as_of, result.build), complete=plan.news is None
        )
    except TargetError as error:
        result.errors.append(str(error))
        return
    if reason is not None:
        shown = "keep the version before" if current_publication(ledger) else "see nothing yet"
        result.errors.append(f"not published: {reason}; readers {shown}")
        log.error("not published: %s", reason)
    elif result.publication is not None:
        log.info("published version %d", result.publication.version)


def _sync_one(sync: SourceSync, name: str, result: CycleResult, reporter: Reporter) -> None:
    try:
        with reporter.syncing(name) as progress:
            syncs = sync.run(progress)
    except SourceError as error:
        result.errors.append(str(error))
        log.error("sync of %s failed: %s", name, error)
        return
    for entity in syncs:
        counts = entity.counts
        log.info("synced %s: %d landed, %d dead", entity.entity.table, counts.landed, counts.dead)
    result.syncs.extend(syncs)
    result.errors.extend(dict.fromkeys(entity.error for entity in syncs if entity.error))


def _build(
    settings: Settings,
    plan: Plan,
    selectors: Sequence[str],
    result: CycleResult,
    reporter: Reporter,
    *,
    only_changes: bool = False,
    idle: Sequence[str] = (),
) -> None:
    """Build what the plan says; what is downstream of news reads views that are there already."""
    exclude = () if plan.tests else INNER_TESTS
    if plan.news is not None:
        exclude = (*exclude, "config.materialized:view", *idle)
    try:
        with reporter.building() as node_done:
            result.build = build(
                settings,
                selectors,
                exclude=exclude,
                full_refresh=plan.full_refresh,
                as_of=plan.as_of,
                only_changes=only_changes,
                indirect_selection=_indirect_selection(settings, plan, selectors),
                node_done=node_done,
            )
    except (BuildError, TargetError) as error:
        result.errors.append(str(error))
        return
    failures = result.build.failures
    nodes = sum(result.build.counts.values())
    log.info("built %d nodes in %.1f s, %d failed", nodes, result.build.seconds, len(failures))
    result.errors.extend(f"dbt: {node}: {message}" for node, message in failures[:SHOWN_FAILURES])
    if len(failures) > SHOWN_FAILURES:
        more = len(failures) - SHOWN_FAILURES
        result.errors.append(f"dbt: {more} more failures; see {settings.home / 'logs' / 'dbt.log'}")


def _indirect_selection(settings: Settings, plan: Plan, selectors: Sequence[str]) -> str:
    """Which tests come with a model: of news those that are named, of a part those that can run."""
    if plan.news is not None:
        return "empty"
    return "buildable" if selectors and not has_every_model(settings) else "eager"
