"""Audits what a build made: dbt's results ─▶ ledger, marts ─▶ expectations ─▶ publish or reject.

Readers get a version only when every dbt test passed at its newest run and the expectations on the
marts hold. What is refused leaves them the version before, and says why in `operations`.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Literal

from sqlalchemy import Engine, RowMapping, insert
from sqlalchemy.exc import DBAPIError

from ledger.errors import TargetError
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
from loaders.judged_letters import keep_letters
from loaders.target import Target
from operations.dbt_results import BuildResult, NodeRun
from quality import ACCEPT_SHRUNK, SHRUNK, check, read_history
from serving.publish import publish, refresh_operations, reject

DBT = "dbt"
MARTS = ("core", "health", "sales")
SHOWN_RULES = 5
SHOWN_FIGURES = 3
SHOWN_OBSERVED = 100
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
    settings: Settings,
    ledger: Engine,
    run_id: str,
    suite: SuiteName,
    as_of: datetime,
    tables: Collection[str] | None = None,
    *,
    compares_history: bool = True,
) -> SuiteResult:
    """Run a suite of expectations, or its rules of some tables, and keep the verdicts.

    What all of raw is checked for, becomes dead letters too.

    Raises:
        TargetError: the database cannot be read.
    """
    history = read_history(ledger, as_of)
    result = check(
        *(settings, suite),
        as_of=as_of,
        tables=tables,
        history=history,
        compares_history=compares_history,
    )
    record_outcomes(ledger, run_id, result, now())
    if tables is None:
        forget_other_rules(ledger, suite, {outcome.rule for outcome in result.outcomes})
        if suite == "raw":
            keep_letters(Target(settings), ledger, result)
    return result


def audit_and_publish(
    settings: Settings,
    ledger: Engine,
    run_id: str,
    as_of: datetime,
    build: BuildResult | None,
    *,
    complete: bool = True,
) -> tuple[Publication | None, str | None]:
    """Publish what was built, or reject it; gives the version and the reason of a refusal.

    Unless the audit is to be `complete`, expectations look at what was built, and at what they did
    not like when they looked last; only then they compare it with all that was ever landed.

    Raises:
        TargetError: the database cannot be read or written.
    """
    reason = _fault_of_dbt(ledger, build)
    if reason is None:
        disliked = {row["table_name"] for row in _failing(ledger, "marts")}
        whole = complete or build is None
        tables = None if build is None or whole else _built(settings, build) | disliked
        result = check_and_record(
            *(settings, ledger, run_id, "marts", as_of, tables),
            compares_history=whole or bool(disliked),
        )
        if not result.succeeded:
            reason = _refusal(result.failures)
    if reason is None:
        return _publish(settings, ledger, run_id, as_of), None
    reject(ledger, run_id, as_of, reason)
    refresh_operations(settings, ledger)
    return None, reason


def _publish(settings: Settings, ledger: Engine, run_id: str, as_of: datetime) -> Publication:
    """Marts that cannot be published are rejected too: health says why readers see old ones."""
    try:
        return publish(settings, ledger, run_id, as_of)
    except TargetError as error:
        with suppress(DBAPIError):  # the database may be gone, and the ledger with it
            reject(ledger, run_id, as_of, str(error))
        raise


def _refusal(failures: Sequence[RuleOutcome]) -> str:
    """One line with what was observed: whoever is on call judges by the figures."""
    rules = _names([_with_figures(outcome) for outcome in failures], SHOWN_FIGURES)
    reason = f"expectations: {rules} failed"
    if any(outcome.rule.endswith(SHRUNK) for outcome in failures):
        return f"{reason}; {ACCEPT_SHRUNK}"
    return reason


def _with_figures(outcome: RuleOutcome) -> str:
    """A rule that could not be asked has a database's error, which may quote a row, and no more."""
    if outcome.status != FAILED or not outcome.observed:
        return outcome.rule
    observed = " ".join(outcome.observed.split())
    if len(observed) > SHOWN_OBSERVED:
        observed = f"{observed[:SHOWN_OBSERVED]}…"
    return f"{outcome.rule} ({observed})"


def _fault_of_dbt(ledger: Engine, build: BuildResult | None) -> str | None:
    """Why readers may not see this; None: as far as dbt's tests go, they may."""
    if build is not None and not build.succeeded:
        return f"dbt: {_names([node.name for node in build.nodes if node.failed])} failed"
    failing = [row["rule"] for row in _failing(ledger, DBT)]
    if failing:
        return f"dbt: {_names(failing)} failed before, and did not run again; build everything"
    return None


def _built(settings: Settings, build: BuildResult) -> set[str]:
    """Tables that were built, by the names that readers know."""
    published = {settings.working_schema(schema): schema for schema in MARTS}
    built = set()
    for node in build.nodes:
        if node.resource_type == "model" and node.table:
            schema, _, name = node.table.partition(".")
            built.add(f"{published.get(schema, schema)}.{name}")
    return built


def fails_a_test(ledger: Engine) -> bool:
    """Whether a dbt test failed when it ran last: until none does, all rows are tested."""
    return bool(_failing(ledger, DBT))


def _failing(ledger: Engine, suite: str) -> list[RowMapping]:
    with ledger.connect() as connection:
        newest = newest_results(connection)
    return [row for row in newest if row["suite"] == suite and row["status"] != PASSED]


def _names(names: list[str], shown: int = SHOWN_RULES) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
