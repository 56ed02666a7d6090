"""One runner for every suite: rules ─▶ Great Expectations, table by table ─▶ outcomes.

First every rule is asked for its verdict alone, which a table answers in one or two queries. Only
rules that failed are asked again, for counts and for every failing key. Nothing is written.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal

from great_expectations.core import ExpectationSuite
from great_expectations.core.expectation_validation_result import (
    ExpectationSuiteValidationResult,
    ExpectationValidationResult,
)

from ledger.quality import ERROR, FAILED, PASSED, RuleOutcome, SuiteResult
from ledger.runs import now
from ledger.settings import Settings
from quality.contract import ROW
from quality.history import History
from quality.rules import FailingRows, Rule, Scope
from quality.session import MARTS, Session
from quality.suites.marts import marts_rules
from quality.suites.raw import raw_rules, raw_views
from quality.suites.raw_columns import RAW_TABLES
from quality.thresholds import read_thresholds

SuiteName = Literal["raw", "marts"]
RULES: dict[SuiteName, Callable[[Scope], list[Rule]]] = {"raw": raw_rules, "marts": marts_rules}
SHOWN_ERROR = 500
KEY_SEPARATOR = "|"
EVERY = 2**31 - 1


@dataclass(frozen=True)
class TableResult:
    """What Great Expectations itself said of one table or view; for Data Docs."""

    place: str
    rules: Sequence[Rule]
    result: ExpectationSuiteValidationResult


def run(
    settings: Settings,
    suite: SuiteName,
    *,
    as_of: datetime,
    tables: Collection[str] | None = None,
    history: History | None = None,
    compares_history: bool = True,
) -> SuiteResult:
    """See `quality.check`."""
    session = _session(settings)
    with session.lock, session.opened():
        scope = _scope(session, as_of, history)
        outcomes: list[RuleOutcome] = []
        prepared = _prepared(session, suite, scope, tables, compares_history=compares_history)
        for place, rules in prepared:
            outcomes += _judge(session, place, rules)
        return SuiteResult(suite, outcomes)


def documented(
    settings: Settings, suite: SuiteName, *, as_of: datetime, history: History | None = None
) -> list[TableResult]:
    """Everything that Great Expectations has to say, with examples of failing values."""
    session = _session(settings)
    results = []
    with session.lock, session.opened():
        scope = _scope(session, as_of, history)
        for place, rules in _prepared(session, suite, scope, None):
            result = _validate(session, place, rules, "SUMMARY")
            if isinstance(result, ExpectationSuiteValidationResult):
                results.append(TableResult(place, rules, result))
    return results


def marts_scope(settings: Settings, as_of: datetime) -> Scope:
    """What the rules of a check would depend on."""
    session = _session(settings)
    with session.lock, session.opened():
        return _scope(session, as_of, None)


@cache
def _session(settings: Settings) -> Session:
    """Kept for the process: making one costs more than a check."""
    return Session(settings)


def _scope(session: Session, as_of: datetime, history: History | None) -> Scope:
    built_in = {name: session.settings.working_schema(name) for name in MARTS}
    thresholds = read_thresholds()
    return Scope(as_of, now(), session.tables, thresholds, history or History(), built_in)


def _prepared(
    session: Session,
    suite: SuiteName,
    scope: Scope,
    tables: Collection[str] | None,
    *,
    compares_history: bool = True,
) -> Iterator[tuple[str, list[Rule]]]:
    """The rules to ask, by what they are held against."""
    chosen = [
        rule
        for rule in RULES[suite](scope)
        if (tables is None or rule.table in tables)
        and (compares_history or not rule.compares_history)
        and _is_asked(rule, scope)
    ]
    if suite == "raw":
        wanted = {rule.view for rule in chosen}
        views = raw_views(scope)
        session.add_views({name: views[name] for name in views if name in wanted})
        session.add_tables(RAW_TABLES)
    session.forbid_writing()
    by_place: dict[str, list[Rule]] = {}
    for rule in chosen:
        by_place.setdefault(rule.view or scope.place(rule.table), []).append(rule)
    yield from by_place.items()


def _is_asked(rule: Rule, scope: Scope) -> bool:
    """Whether what it reads is there; a mart that was published and is gone is an error."""
    if rule.table not in scope.tables:
        return scope.history.published_rows.get(rule.table, 0) > 0
    return all(table in scope.tables for table in rule.needs)


def _judge(session: Session, place: str, rules: Sequence[Rule]) -> Iterator[RuleOutcome]:
    verdicts = _validate(session, place, rules, "BOOLEAN_ONLY")
    if isinstance(verdicts, str):
        yield from (_outcome(rule, ERROR, observed=verdicts) for rule in rules)
        return
    by_rule = {each.expectation_config.meta["rule"]: each for each in verdicts.results}
    for rule in rules:
        verdict = by_rule[rule.name]
        error = _error(verdict)
        if error:
            yield _outcome(rule, ERROR, observed=error)
        elif verdict.success:
            yield _outcome(rule, PASSED)
        else:
            yield _failure(session, place, rule)


def _validate(
    session: Session, place: str, rules: Iterable[Rule], result_format: Any
) -> ExpectationSuiteValidationResult | str:
    """Great Expectations' result, or why there is none."""
    suite = ExpectationSuite(name=place, expectations=[rule.expectation for rule in rules])
    try:
        batch = session.batch(place)
        return batch.validate(suite, result_format=result_format)
    except Exception as error:  # whatever is wrong with the data, a check ends with a verdict
        return _first_lines(str(error))


def _error(verdict: ExpectationValidationResult) -> str | None:
    info = verdict.exception_info or {}
    found = [info] if "raised_exception" in info else list(info.values())
    for each in found:
        if each.get("raised_exception"):
            return _first_lines(str(each.get("exception_message")))
    return None


def _failure(session: Session, place: str, rule: Rule) -> RuleOutcome:
    """Count and name what failed."""
    try:
        if rule.minimum_rows:
            ((rows,),) = session.rows(f"select count(*) from {place}")
            if rows < rule.minimum_rows:
                return _outcome(rule, PASSED, observed=f"{rows} rows: too few to judge")
        if rule.judged_if and not session.rows(rule.judged_if):
            return _outcome(rule, PASSED, observed="nothing to judge by")
        if isinstance(rule.expectation, FailingRows):
            return _failing_query(session, place, rule)
        return _failing_values(session, place, rule)
    except Exception as error:  # as above
        return _outcome(rule, ERROR, observed=_first_lines(str(error)))


def _failing_query(session: Session, place: str, rule: Rule) -> RuleOutcome:
    query = str(rule.expectation.unexpected_rows_query).format(
        batch=f"(select * from {place}) as batch"
    )
    if not rule.keys:
        shown = _described(session, query)
        return _outcome(rule, FAILED, 1, shown)
    observed = _described(session, query) if rule.keys_query else None
    columns = ", ".join(f"failing.{key}" for key in rule.keys)
    keys = session.stream(f"select {columns} from ({rule.keys_query or query}) as failing", _key)
    return _outcome(rule, FAILED, len(keys), observed or f"{len(keys)} failing", keys)


def _failing_values(session: Session, place: str, rule: Rule) -> RuleOutcome:
    result_format: dict[str, Any] = {
        "result_format": "COMPLETE",
        "unexpected_index_column_names": list(rule.keys),
        "exclude_unexpected_values": True,
        # It bounds the list of keys too, at 20 unless told.
        "partial_unexpected_count": EVERY,
        "return_unexpected_index_query": False,
    }
    found = _validate(session, place, [rule], result_format if rule.keys else "BASIC")
    if isinstance(found, str):
        return _outcome(rule, ERROR, observed=found)
    result = found.results[0].result
    if not rule.keys:
        return _outcome(rule, FAILED, 0, rule.says.format(result.get("observed_value")))
    count = int(result["unexpected_count"])
    observed = f"{count} of {result['element_count']} values"
    return _outcome(rule, FAILED, count, observed, _indexed(result, rule.keys))


def _indexed(result: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Without the values there is one list a column."""
    keys: list[str] = []
    for part in result["unexpected_index_list"]:
        keys += map(_key, zip(*(part[name] for name in names), strict=True))
    return keys


def _described(session: Session, query: str) -> str:
    """The first row of a query as text."""
    rows = session.rows(f"select * from ({query}) as failing limit 1")
    if not rows:
        return ""
    row: Any = rows[0]
    return ", ".join(f"{name} {value}" for name, value in row._mapping.items())


def _key(row: Iterable[Any]) -> str:
    return KEY_SEPARATOR.join("" if value is None else str(value) for value in row)


def _outcome(
    rule: Rule,
    status: str,
    failing_count: int = 0,
    observed: str | None = None,
    failing_keys: Sequence[str] = (),
) -> RuleOutcome:
    rows: Collection[str] = ()
    if rule.keys[-1:] == (ROW,):
        rows = {key.rpartition(KEY_SEPARATOR)[2] for key in failing_keys}
    return RuleOutcome(
        rule.name, rule.table, rule.column, status, failing_count, observed, failing_keys, rows
    )


def _first_lines(text: str) -> str:
    return " ".join(text.split())[:SHOWN_ERROR]
