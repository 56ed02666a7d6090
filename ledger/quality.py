"""Verdicts on data, from dbt tests and expectations alike: outcomes ─▶ results and failing keys.

A rule keeps one row as long as its verdict lasts (`since`, `check_count`), so a check every few
seconds does not grow the ledger. The failing keys of a rule are those of its newest check.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from ledger.tables import quality_failures, quality_results

PASSED = "passed"
FAILED = "failed"
ERROR = "error"
ROWS_A_STATEMENT = 5000


@dataclass(frozen=True)
class RuleOutcome:
    """What one rule said about one table."""

    rule: str
    """Unique in its suite, stable between runs."""
    table: str | None
    column: str | None
    status: str
    """`passed`, `failed`, or `error` when the rule could not be evaluated."""
    failing_count: int = 0
    observed: str | None = None
    failing_keys: Iterable[str] = field(default=(), compare=False)
    """Every key that breaks the rule; read once, as it may be long."""
    failing_rows: Collection[str] = field(default=(), compare=False)
    """`_row_hash` of every record of raw that breaks the rule; none if it is not about records."""


@dataclass(frozen=True)
class SuiteResult:
    """What a suite said."""

    suite: str
    outcomes: Sequence[RuleOutcome]

    @property
    def succeeded(self) -> bool:
        """Whether every rule passed."""
        return not self.failures

    @property
    def failures(self) -> list[RuleOutcome]:
        """The rules that did not pass."""
        return [outcome for outcome in self.outcomes if outcome.status != PASSED]


def record_outcomes(ledger: Engine, run_id: str, result: SuiteResult, at: datetime) -> None:
    """Keep verdicts and failing keys, in one transaction."""
    with ledger.begin() as connection:
        newest = _newest(connection, result.suite)
        for outcome in result.outcomes:
            _record_verdict(connection, run_id, result.suite, outcome, newest, at)
            _record_keys(connection, run_id, result.suite, outcome, at)


def _newest(connection: Connection, suite: str) -> dict[str, RowMapping]:
    query = select(quality_results).where(quality_results.c.suite == suite)
    rows = connection.execute(query.order_by(quality_results.c.since)).mappings()
    return {row["rule"]: row for row in rows}


def _record_verdict(
    connection: Connection,
    run_id: str,
    suite: str,
    outcome: RuleOutcome,
    newest: dict[str, RowMapping],
    at: datetime,
) -> None:
    columns = quality_results.c
    values = {
        "table_name": outcome.table,
        "column_name": outcome.column,
        "status": outcome.status,
        "failing_count": outcome.failing_count,
        "observed": outcome.observed,
        "run_id": run_id,
        "checked_at": at,
    }
    before = newest.get(outcome.rule)
    if before is not None and before["status"] == outcome.status:
        connection.execute(
            update(quality_results)
            .where(
                columns.suite == suite,
                columns.rule == outcome.rule,
                columns.since == before["since"],
            )
            .values(**values, check_count=columns.check_count + 1)
        )
        return
    row = {"suite": suite, "rule": outcome.rule, "since": at, "check_count": 1, **values}
    connection.execute(insert(quality_results).values(row))


def _record_keys(
    connection: Connection, run_id: str, suite: str, outcome: RuleOutcome, at: datetime
) -> None:
    columns = quality_failures.c
    connection.execute(
        delete(quality_failures).where(columns.suite == suite, columns.rule == outcome.rule)
    )
    for keys in _batches(outcome.failing_keys):
        rows = [
            {
                "suite": suite,
                "rule": outcome.rule,
                "table_name": outcome.table,
                "failing_key": key,
                "run_id": run_id,
                "checked_at": at,
            }
            for key in keys
        ]
        connection.execute(insert(quality_failures), rows)


def _batches(keys: Iterable[str]) -> Iterator[tuple[str, ...]]:
    iterator = iter(keys)
    while batch := tuple(islice(iterator, ROWS_A_STATEMENT)):
        yield batch


def forget_other_rules(ledger: Engine, suite: str, rules: Collection[str]) -> None:
    """Drop what is known of rules that are no longer part of a suite."""
    with ledger.begin() as connection:
        gone = _newest(connection, suite).keys() - set(rules)
        for table in (quality_results, quality_failures):
            for rule in gone:
                connection.execute(
                    delete(table).where(table.c.suite == suite, table.c.rule == rule)
                )


def newest_results(connection: Connection) -> list[RowMapping]:
    """The newest verdict of every rule."""
    query = select(quality_results).order_by(quality_results.c.since)
    rows = connection.execute(query).mappings()
    return list({(row["suite"], row["rule"]): row for row in rows}.values())
