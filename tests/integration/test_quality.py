"""Expectations: green on good data, each red on data spoiled in its way, alike on both engines."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import Connection, insert
from support.good_data import AS_OF, GoodWarehouse
from support.spoiling import (
    AS_ENTERED,
    FORMER_DAYS,
    HISTORY,
    MARTS,
    MESS,
    ONE_TIME_AHEAD,
    RAW,
    SCHEMA_CHANGES,
    UNKNOWN,
    in_rounds,
)

from ledger.engine import open_ledger
from ledger.errors import TargetError
from ledger.publications import Publication, record_publication
from ledger.quality import SuiteResult, record_outcomes
from ledger.settings import Settings
from ledger.tables import pipeline_runs, quality_failures, sync_log
from quality import History, Usual, build_docs, check, read_history
from quality.contract import raw_contracts
from quality.rules import Scope
from quality.suites.marts import marts_rules
from quality.thresholds import read_thresholds

ENGINES = ("duckdb", "postgres")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def warehouses(both_built_settings: dict[str, Settings]) -> dict[str, GoodWarehouse]:
    """The same good data on both engines, built once."""
    return {engine: GoodWarehouse(settings) for engine, settings in both_built_settings.items()}


@pytest.fixture(params=ENGINES)
def warehouse(
    request: pytest.FixtureRequest, warehouses: dict[str, GoodWarehouse]
) -> GoodWarehouse:
    """Good data on one engine."""
    return warehouses[request.param]


def verdicts(result: SuiteResult) -> dict[str, tuple[str, int, list[str]]]:
    """What does not hold, with its keys."""
    return {
        outcome.rule: (outcome.status, outcome.failing_count, sorted(outcome.failing_keys))
        for outcome in result.failures
    }


def failed(result: SuiteResult) -> dict[str, str]:
    return {outcome.rule: f"{outcome.status}: {outcome.observed}" for outcome in result.failures}


@pytest.mark.parametrize("suite", ["raw", "marts"])
def test_the_data_of_the_demo_is_green(warehouse: GoodWarehouse, suite: str) -> None:
    result = check(warehouse.settings, suite, as_of=AS_OF)
    assert failed(result) == {}
    spoilings = RAW | SCHEMA_CHANGES if suite == "raw" else MARTS
    rules = {outcome.rule for outcome in result.outcomes}
    assert rules == set(spoilings) | HISTORY[suite], "each rule is shown failing"


@pytest.mark.parametrize("number", range(len(in_rounds(RAW))))
def test_each_rule_on_raw_fails_for_its_reason(warehouse: GoodWarehouse, number: int) -> None:
    """One spoiling a table in each round; tables of raw do not depend on each other."""
    spoilings = in_rounds(RAW)[number]
    with warehouse.spoiled(spoilings.values()):
        tables = {table for table, _ in spoilings.values()}
        result = check(warehouse.settings, "raw", as_of=AS_OF, tables=tables)
    assert failed(result).keys() == spoilings.keys(), failed(result)
    assert {outcome.status for outcome in result.failures} == {"failed"}


def test_a_column_that_is_missing_or_of_another_type_is_named(warehouse: GoodWarehouse) -> None:
    spoil, restore = [], []
    for table, column, _, bad in SCHEMA_CHANGES.values():
        spoil.append(f"alter table {table} rename column {column} to kept_{column}")
        if "users" not in table:
            spoil.append(f"alter table {table} add column {column} {bad}")
        restore.append(f"alter table {table} drop column if exists {column}")
        restore.append(f"alter table {table} rename column kept_{column} to {column}")
    warehouse.execute("; ".join(spoil))
    result = check(warehouse.settings, "raw", as_of=AS_OF)
    warehouse.execute("; ".join(restore))
    expected = {rule: ("failed", 1, [change[1]]) for rule, change in SCHEMA_CHANGES.items()}
    assert verdicts(result) == expected


@pytest.mark.parametrize("rule", MARTS)
def test_each_rule_on_marts_fails_for_its_reason(warehouse: GoodWarehouse, rule: str) -> None:
    table, spoiling = MARTS[rule]
    with warehouse.spoiled([spoiling]):
        result = check(warehouse.settings, "marts", as_of=AS_OF, tables={table})
    assert failed(result).keys() == {rule}, failed(result)
    assert result.failures[0].status == "failed"


def test_what_staging_cleans_is_no_fault(warehouse: GoodWarehouse) -> None:
    with warehouse.spoiled(AS_ENTERED):
        tables = {table for table, _ in AS_ENTERED}
        result = check(warehouse.settings, "raw", as_of=AS_OF, tables=tables)
    assert failed(result) == {}


def test_one_date_ahead_holds_nobody_up(warehouse: GoodWarehouse) -> None:
    with warehouse.spoiled(ONE_TIME_AHEAD):
        tables = {table for table, _ in ONE_TIME_AHEAD}
        result = check(warehouse.settings, "marts", as_of=AS_OF, tables=tables)
    assert failed(result) == {}


def test_equal_scores_are_right_before_anybody_said_anything(warehouse: GoodWarehouse) -> None:
    table = "health.company_health_metrics"
    silent = f"update {table} set health_score = 40, event_count_90d = 0"
    with warehouse.spoiled([(table, silent)]):
        result = check(warehouse.settings, "marts", as_of=AS_OF, tables={table})
    assert "company_health_metrics__scores_differ" not in failed(result)


@pytest.mark.parametrize("suite", ["raw", "marts"])
def test_rules_about_former_days_fail_for_their_reason(
    warehouse: GoodWarehouse, suite: str
) -> None:
    result = check(warehouse.settings, suite, as_of=AS_OF, history=FORMER_DAYS)
    assert failed(result).keys() == HISTORY[suite]
    if suite == "marts":
        says = r"failed: \d+ rows, 1000000 the day before, at least 950000 allowed"
        assert all(re.fullmatch(says, told) for told in failed(result).values())


def test_former_days_like_today_are_green(warehouse: GoodWarehouse) -> None:
    synced = {f"raw.commerce__{name}": AS_OF for name in ("orders", "customers", "products")}
    usual = {table: Usual(300, 14) for table in synced}
    history = History(usual, synced, {"core.fct_sales": 1, "core.dim_customer": 100})
    for suite in ("raw", "marts"):
        assert failed(check(warehouse.settings, suite, as_of=AS_OF, history=history)) == {}
    # A source that was asked and had nothing new is fresh; no sync in a day is not low volume.
    later = AS_OF + 3 * DAY
    history = History({}, {"raw.commerce__orders": later - timedelta(hours=1)})
    tables = {"raw.commerce__orders", "raw.commerce__order_items"}
    assert (
        failed(check(warehouse.settings, "raw", as_of=later, tables=tables, history=history)) == {}
    )


def test_both_engines_say_the_same(warehouses: dict[str, GoodWarehouse]) -> None:
    """Verdicts, counts and keys, with nulls, empty texts, line ends and letters of all tongues."""
    said = {}
    for engine, warehouse in warehouses.items():
        with warehouse.spoiled(MESS):
            results = [check(warehouse.settings, suite, as_of=AS_OF) for suite in ("raw", "marts")]
        said[engine] = [verdicts(result) for result in results]
        assert not any(o.status == "error" for result in results for o in result.outcomes)
    for of_duckdb, of_postgres in zip(*said.values(), strict=True):
        for rule in of_duckdb.keys() | of_postgres.keys():
            assert of_duckdb.get(rule) == of_postgres.get(rule), rule
    for _, count, keys in (said["duckdb"][0] | said["duckdb"][1]).values():
        assert count == len(keys) or not keys
    raw, marts = said["duckdb"]
    assert len(raw) >= 6
    assert len(marts) >= 7
    assert sum(count for _, count, _ in marts.values()) > 400


def test_every_failing_key_is_kept(warehouse: GoodWarehouse) -> None:
    spoiling = (
        "insert into core.dim_customer (customer_key, email)"
        " select 'bad_' || cast(n as text), 'no address ' || cast(n as text)"
        " from generate_series(1, 5000) as series (n)"
    )
    good = {"core.dim_customer"}
    with warehouse.spoiled([("core.dim_customer", spoiling)]):
        result = check(warehouse.settings, "marts", as_of=AS_OF, tables=good)
    (outcome,) = result.failures
    assert outcome.failing_count == len(list(outcome.failing_keys)) >= 5000
    assert {f"bad_{n}" for n in range(1, 5001)} <= set(outcome.failing_keys)
    ledger = open_ledger(warehouse.settings)
    record_outcomes(ledger, "run", result, AS_OF)
    with ledger.connect() as connection:
        kept = connection.execute(quality_failures.select()).all()
    ledger.dispose()
    assert len(kept) == outcome.failing_count


def test_little_data_is_not_judged_by_rates(warehouse: GoodWarehouse) -> None:
    with warehouse.spoiled(
        [
            (
                "core.dim_customer",
                "delete from core.dim_customer where customer_id <> 'cus_000001'",
            ),
            ("core.dim_customer", "update core.dim_customer set email = 'nothing'"),
            ("raw.crm__users", "delete from raw.crm__users where id <> 'usr_000001'"),
            ("raw.crm__users", "update raw.crm__users set email = 'nothing'"),
        ]
    ):
        marts = check(warehouse.settings, "marts", as_of=AS_OF, tables={"core.dim_customer"})
        raw = check(warehouse.settings, "raw", as_of=AS_OF, tables={"raw.crm__users"})
    assert failed(marts) | failed(raw) == {}
    assert any("too few" in (outcome.observed or "") for outcome in marts.outcomes)


@pytest.mark.parametrize(("before", "least"), [(0, 0), (29, 1), (30, 28), (1000, 950)])
def test_little_data_may_shrink_but_not_vanish(before: int, least: int) -> None:
    history = History(published_rows={"core.dim_product": before})
    scope = Scope(AS_OF, AS_OF, {}, read_thresholds(), history)
    name = "dim_product__has_the_rows_of_the_day_before"
    (rule,) = (rule for rule in marts_rules(scope) if rule.name == name)
    assert rule.expectation.min_value == least


def test_a_mart_that_vanished_is_an_error_and_one_never_built_is_not(
    warehouse: GoodWarehouse,
) -> None:
    warehouse.execute("alter table core.fct_feedback rename to fct_feedback_away")
    try:
        tables = {"core.fct_feedback"}
        unknown = check(warehouse.settings, "marts", as_of=AS_OF, tables=tables)
        history = History(published_rows={"core.fct_feedback": 10})
        known = check(warehouse.settings, "marts", as_of=AS_OF, tables=tables, history=history)
    finally:
        warehouse.execute("alter table core.fct_feedback_away rename to fct_feedback")
    assert unknown.outcomes == []
    assert {outcome.status for outcome in known.outcomes} == {"error"}
    assert "fct_feedback" in str(known.outcomes[0].observed)


def test_a_rule_that_cannot_be_evaluated_is_an_error_beside_verdicts(
    warehouse: GoodWarehouse,
) -> None:
    warehouse.execute("alter table core.fct_feedback rename column created_at to made_at")
    try:
        result = check(warehouse.settings, "marts", as_of=AS_OF, tables={"core.fct_feedback"})
    finally:
        warehouse.execute("alter table core.fct_feedback rename column made_at to created_at")
    by_rule = {outcome.rule: outcome for outcome in result.outcomes}
    broken = by_rule.pop("fct_feedback__created_at_is_mostly_past")
    assert broken.status == "error"
    assert "created_at" in str(broken.observed)
    assert {outcome.status for outcome in by_rule.values()} == {"passed"}


def test_nothing_is_held_after_a_check(warehouse: GoodWarehouse) -> None:
    check(warehouse.settings, "marts", as_of=AS_OF, tables={"core.dim_customer"})
    if warehouse.settings.postgres_url is None:
        with duckdb.connect(str(warehouse.settings.warehouse_path)) as connection:
            connection.execute("create table kept.written as select 1 as one")
            connection.execute("drop table kept.written")
        return
    mine = warehouse.rows(
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert mine == [(0,)]


EVERYTHING = (
    *(contract.table for contract in raw_contracts()),
    *("core.fct_sales", "core.fct_support_tickets", "core.fct_feedback", "core.fct_user_events"),
    *("core.dim_customer", "core.dim_product", "core.dim_company", "sales.daily_sales"),
    "health.company_health_metrics",
)


@pytest.mark.parametrize("entity", ["nothing", "feedback", "sales"])
def test_no_data_and_one_entity_alone_are_green(warehouse: GoodWarehouse, entity: str) -> None:
    kept = {
        "nothing": set(),
        "feedback": {"raw.support__feedback", "core.fct_feedback"},
        "sales": {"raw.commerce__orders", "raw.commerce__order_items", "core.fct_sales"}
        | {"sales.daily_sales"},
    }[entity]
    emptied = [(table, f"delete from {table}") for table in EVERYTHING if table not in kept]
    # A shop may have no customers at all.
    nameless = [
        ("raw.commerce__orders", "update raw.commerce__orders set customer_id = null"),
        ("core.fct_sales", f"update core.fct_sales set customer_key = {UNKNOWN}"),
    ]
    with warehouse.spoiled([*emptied, *nameless]):
        for suite in ("raw", "marts"):
            assert failed(check(warehouse.settings, suite, as_of=AS_OF)) == {}


def test_a_database_without_any_table_is_green_and_a_missing_file_an_error(
    settings: Settings,
) -> None:
    if settings.postgres_url is None:
        with pytest.raises(TargetError, match="no warehouse"):
            check(settings, "marts", as_of=AS_OF)
        duckdb.connect(str(settings.warehouse_path)).close()
    for suite in ("raw", "marts"):
        assert check(settings, suite, as_of=AS_OF).outcomes == []
    if settings.postgres_url is None:
        settings.warehouse_path.write_bytes(b"no database")
        message = r"cannot read the warehouse .*warehouse\.duckdb.*; put a backup in its place"
    else:
        settings = replace(settings, postgres_url=settings.postgres_url.set(database="no_such"))
        message = r"cannot read the warehouse \(PostgreSQL\): .*no_such"
    with pytest.raises(TargetError, match=message):
        check(settings, "raw", as_of=AS_OF)


def test_data_docs_open_offline(warehouse: GoodWarehouse) -> None:
    with warehouse.spoiled([MARTS["company_health_metrics__score_is_in_range"][1]]):
        index = build_docs(warehouse.settings, as_of=AS_OF)
    assert index == warehouse.settings.home / "data_docs" / "index.html"
    pages = {path.name: path.read_text() for path in index.parent.iterdir()}
    assert pages["index.html"].count("class='failed'") == 1
    for name in re.findall(r"href='([^']+)'", pages["index.html"]):
        page = pages.pop(name)
        fetched = re.findall(r"<(?:script|link|img|iframe)\b|url\(|@import|https?://", page)
        assert fetched == [], name
    assert pages.keys() == {"index.html"}, "every page is linked"
    place = "health" if warehouse.settings.postgres_url is None else "working_health"
    page = (index.parent / f"marts-{place}.company_health_metrics.html").read_text()
    assert "101" in page


SILENT = """
import socket, sys
calls = []
for name in ("connect", "connect_ex"):
    setattr(socket.socket, name, lambda self, *to: calls.append(to) or 0)
socket.getaddrinfo = lambda *to, **_: calls.append(to) or []
from datetime import UTC, datetime
from pathlib import Path
import quality
from ledger.settings import Settings
result = quality.check(Settings(Path(sys.argv[1])), "marts", as_of=datetime(2026, 3, 2, tzinfo=UTC))
assert result.outcomes and not calls, calls
"""


def test_nothing_is_sent_said_or_left_behind(
    warehouses: dict[str, GoodWarehouse], tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SILENT, str(warehouses["duckdb"].settings.home)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def record_sync(connection: Connection, id: int, ended: datetime, rows: int, status: str) -> None:
    """A sync of orders in the ledger, and its run."""
    run = {"run_id": str(id), "started_at": ended, "status": status}
    connection.execute(
        insert(pipeline_runs).values(command="run", target="local", host="h", pid=1, **run)
    )
    sync = {"source": "commerce", "entity": "orders", "mode": "incremental"}
    connection.execute(insert(sync_log).values(finished_at=ended, landed=rows, **sync, **run))


def test_history_is_read_from_the_ledger(settings: Settings) -> None:
    ledger = open_ledger(settings)
    now = datetime(2026, 3, 20, 12, tzinfo=UTC)
    with ledger.begin() as connection:
        for day, rows in enumerate((5, 100, 300, 200, 10_000)):
            ended = now - day * DAY - timedelta(hours=1)
            record_sync(connection, day, ended, rows, "succeeded" if day != 4 else "failed")
        for version, (age, rows) in enumerate(((50, 900), (30, 1000), (2, 990), (1, 980)), start=1):
            publication = Publication(version, now, now - timedelta(hours=age))
            record_publication(connection, "run", publication, {"core.fct_sales": rows})
    history = read_history(ledger, now)
    ledger.dispose()
    assert history.published_rows == {"core.fct_sales": 1000}
    assert history.synced_at == {"raw.commerce__orders": now - timedelta(hours=1)}
    assert history.usual == {"raw.commerce__orders": Usual(200, 3)}


def test_a_usual_day_is_one_of_utc(settings: Settings) -> None:
    ledger = open_ledger(settings)
    if settings.postgres_url is not None:
        name = settings.postgres_url.database
        with ledger.begin() as connection:
            zone = f"alter database {name} set timezone to 'America/New_York'"
            connection.exec_driver_sql(zone)
        ledger.dispose()
    with ledger.begin() as connection:
        for hour in (1, 12, 23):
            ended = datetime(2026, 3, 19, hour, tzinfo=UTC)
            record_sync(connection, hour, ended, 100, "succeeded")
    history = read_history(ledger, datetime(2026, 3, 20, 12, tzinfo=UTC))
    ledger.dispose()
    assert history.usual == {"raw.commerce__orders": Usual(300, 1)}
