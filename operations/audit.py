"""Audits what a build made: dbt's results ─▶ ledger, marts ─▶ expectations ─▶ publish or reject.

Readers get a version only when every dbt test passed at its newest run and the expectations on the
marts hold. What is refused leaves them the version before, and says why in `operations`.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from sqlalchemy import Engine, insert

from ledger.publications import Publication
from ledger.quality import (
    ERROR,
    FAILED,
    PASSED,
    RuleOutcome,
    SuiteResult,
    forget_other_rules,
    newest_results,
    record_outcomes,
)
from ledger.runs import now
from ledger.settings import Settings
from ledger.tables import model_runs
from loaders.target import Target
from operations.dbt_runner import BuildResult, NodeRun
from quality.checkpoint import check
from serving.publish import publish, refresh_operations, reject

DBT = "dbt"
SHOWN_RULES = 5
SuiteName = Literal["raw", "marts"]
TESTS = ("test", "unit_test")


def record_build(
    settings: Settings, ledger: Engine, run_id: str, build: BuildResult, *, complete: bool
) -> None:
    """Keep what dbt did; a `complete` build forgets rules that are no more."""
    target = Target(settings)
    outcomes = [
        _outcome(target, node) for node in build.nodes if node.status not in ("skipped", "no-op")
    ]
    record_outcomes(ledger, run_id, SuiteResult(DBT, outcomes), now())
    if complete and build.succeeded:
        forget_other_rules(ledger, DBT, {outcome.rule for outcome in outcomes})
    rows = [
        {
            "run_id": run_id,
            "node": node.node,
            "resource_type": node.resource_type,
            "status": node.status,
            "started_at": node.started_at,
            "duration_seconds": node.seconds,
            "row_count": node.rows,
            "message": node.message if node.failed else None,
        }
        for node in build.nodes
        if node.resource_type not in TESTS or node.failed
    ]
    if rows:
        with ledger.begin() as connection:
            connection.execute(insert(model_runs), rows)


def _outcome(target: Target, node: NodeRun) -> RuleOutcome:
    status = PASSED
    if node.failed:
        status = FAILED if node.status == "fail" else ERROR
    keys = _failing_keys(target, node) if status == FAILED and node.query else ()
    observed = node.message if node.failed else None
    return RuleOutcome(
        node.name, node.table, node.column, status, node.failing_count, observed, keys
    )


def _failing_keys(target: Target, node: NodeRun) -> Iterator[str]:
    """The first column of what a test finds: by convention the key."""
    for row in target.stream(str(node.query)):
        yield "null" if row[0] is None else str(row[0])


def check_and_record(
    settings: Settings, ledger: Engine, run_id: str, suite: SuiteName, as_of: datetime
) -> SuiteResult:
    """Run a suite of expectations and keep its verdicts."""
    result = check(settings, suite, as_of=as_of)
    record_outcomes(ledger, run_id, result, now())
    return result


def audit_and_publish(
    settings: Settings, ledger: Engine, run_id: str, as_of: datetime, build: BuildResult | None
) -> tuple[Publication | None, str | None]:
    """Publish what was built, or reject it; gives the version and the reason of a refusal.

    Raises:
        TargetError: the database cannot be read or written.
    """
    reason = _fault(settings, ledger, run_id, as_of, build)
    if reason is None:
        return publish(settings, ledger, run_id, as_of), None
    reject(ledger, run_id, as_of, reason)
    refresh_operations(settings, ledger)
    return None, reason


def _fault(
    settings: Settings, ledger: Engine, run_id: str, as_of: datetime, build: BuildResult | None
) -> str | None:
    """Why readers may not see this; None: they may."""
    if build is not None and not build.succeeded:
        return f"dbt: {_names([node.name for node in build.nodes if node.failed])} failed"
    with ledger.connect() as connection:
        newest = newest_results(connection)
    failing = [row["rule"] for row in newest if row["suite"] == DBT and row["status"] != PASSED]
    if failing:
        return f"dbt: {_names(failing)} failed before, and did not run again; build everything"
    result = check_and_record(settings, ledger, run_id, "marts", as_of)
    if not result.succeeded:
        return f"expectations: {_names([outcome.rule for outcome in result.failures])} failed"
    return None


def _names(names: list[str]) -> str:
    more = len(names) - SHOWN_RULES
    return ", ".join(names[:SHOWN_RULES]) + (f" and {more} more" if more > 0 else "")
