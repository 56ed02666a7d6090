"""A build of news tests what readers do not see yet; a build of everything tests every row."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from integration.streams import Change, record
from support.modelled import VIEWS, ModelledWarehouse

from ledger.engine import open_ledger
from ledger.errors import BuildError
from ledger.quality import FAILED, RuleOutcome, SuiteResult, record_outcomes
from ledger.runs import now
from ledger.settings import Settings
from loaders.columns import tables_of
from operations.cycle import run_cycle
from operations.dbt_runner import build
from operations.idle_tests import idle_tests
from operations.plan import Plan
from operations.progress import Reporter
from serving.publish import publish

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)
SALES = ("fct_sales",)


@pytest.fixture(scope="module")
def warehouse(built_module_settings: Settings) -> Iterator[ModelledWarehouse]:
    """Two orders that readers see, and a third one that they do not see yet."""
    opened = ModelledWarehouse(built_module_settings, seeded=True)
    ledger = open_ledger(built_module_settings)
    land(opened, "1.5", 1, 2)
    opened.dbt("run", exclude=VIEWS, as_of=AS_OF)
    publish(built_module_settings, ledger, "run", AS_OF)
    land(opened, "2.5", 3)
    opened.dbt("run", exclude=VIEWS, as_of=AS_OF)
    yield opened
    ledger.dispose()


def land(warehouse: ModelledWarehouse, load_id: str, *ids: int) -> None:
    """Orders of two items each."""
    changes = [Change("orders", id, 1, 0b110000) for id in ids]
    rows = [(*record(change), False) for change in changes]
    warehouse.land(load_id, rows, received_at=AS_OF)


def failing(warehouse: ModelledWarehouse, *, only_changes: bool) -> set[str]:
    """Names of tests of the facts that fail."""
    result = build(warehouse.settings, SALES, command="test", only_changes=only_changes)
    assert {node.name for node in result.nodes} >= NOTICED
    return {node.name for node in result.nodes if node.failed}


SPOILED = {
    "amount": (
        "update core.fct_sales set net_amount = net_amount + 1 where order_id = '{id}'",
        {"fct_sales__amounts_add_up", "int_orders__sales_equals_fct_sales"},
    ),
    "twice": (
        "insert into core.fct_sales select * from core.fct_sales where order_id = '{id}'",
        {"fct_sales__sales_key_is_unique", "fct_sales_reconciles_with_staging"},
    ),
    "lost": (
        "delete from core.fct_sales where order_id = '{id}'",
        {"int_orders__sales_equals_fct_sales", "fct_sales_reconciles_with_staging"},
    ),
}


NOTICED = set[str]().union(*(expected for _, expected in SPOILED.values()))


@pytest.mark.parametrize("fault", SPOILED)
def test_what_changed_is_tested_by_every_build_and_the_rest_by_one_of_everything(
    warehouse: ModelledWarehouse, fault: str
) -> None:
    statement, expected = SPOILED[fault]
    warehouse.execute("create table core.kept as select * from core.fct_sales")
    try:
        assert failing(warehouse, only_changes=True) == set()
        warehouse.execute(statement.format(id="ord-1"))
        assert failing(warehouse, only_changes=True) == set(), "readers saw it as it was"
        assert failing(warehouse, only_changes=False) >= expected
        warehouse.execute(statement.format(id="ord-3"))
        assert failing(warehouse, only_changes=True) >= expected
    finally:
        warehouse.execute("delete from core.fct_sales")
        warehouse.execute("insert into core.fct_sales select * from core.kept")
        warehouse.execute("drop table core.kept")
    assert failing(warehouse, only_changes=False) == set()


@pytest.mark.parametrize(
    ("entity", "skipped", "fact"),
    [
        ("orders", ("int_orders__current", "int_order_items__current"), "fct_sales"),
        ("feedback", ("int_feedback__current",), "fct_feedback"),
        ("tickets", ("int_tickets__current",), "fct_support_tickets"),
    ],
)
def test_a_record_that_is_written_nowhere_is_missed_in_its_cycle(
    warehouse: ModelledWarehouse, entity: str, skipped: tuple[str, ...], fact: str
) -> None:
    """What the current state never took over leaves no row, and no note of one."""
    load_id = "3.5"
    contract, landed = record(Change(entity, 9, 1, 0b110000))
    warehouse.land(load_id, [(contract, landed, False)], received_at=AS_OF)
    for model in skipped:
        warehouse.execute(
            "insert into operations.load_claims (model, load_id, invocation_id, claimed_at)"
            f" values ('{model}', '{load_id}', 'lost', current_timestamp)"
        )
    warehouse.dbt("run", fact, as_of=AS_OF)
    rule = f"{fact}_reconciles_with_staging"
    try:
        result = build(warehouse.settings, (rule,), command="test", only_changes=True)
        assert [node.name for node in result.nodes if node.failed] == [rule]
    finally:
        for table in ("operations.load_claims", "raw._dlt_loads"):
            warehouse.execute(f"delete from {table} where load_id = '{load_id}'")
        for raw in tables_of(contract):
            warehouse.execute(f"delete from raw.{raw.name} where _dlt_load_id = '{load_id}'")


def test_every_row_is_tested_while_a_test_fails(
    warehouse: ModelledWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    left_out: list[bool] = []

    def stopped(*_: object, only_changes: bool, exclude: Sequence[str], **__: Any) -> None:
        asked.append(only_changes)
        left_out.append("fct_user_events__date_key_is_in_dim_date" in exclude)
        raise BuildError("no build here")

    monkeypatch.setattr("operations.cycle.build", stopped)
    ledger = open_ledger(warehouse.settings)
    for plan in (Plan("serve", news=frozenset({"commerce__orders"})), Plan("build", selectors=())):
        run_cycle(warehouse.settings, plan, Reporter(silent=True), ledger)
    outcome = RuleOutcome("a test", "core.fct_sales", None, FAILED, 1, None, ())
    record_outcomes(ledger, "a run", SuiteResult("dbt", [outcome]), now())
    plan = Plan("serve", news=frozenset({"commerce__orders"}))
    run_cycle(warehouse.settings, plan, Reporter(silent=True), ledger)
    ledger.dispose()
    assert asked == [True, False, False]
    assert left_out == asked


def test_a_cycle_tests_what_it_builds_and_what_compares_it_with_staging(
    warehouse: ModelledWarehouse,
) -> None:
    ledger = open_ledger(warehouse.settings)
    plan = Plan("serve", news=frozenset({"commerce__orders"}), as_of=AS_OF, tests=False)
    built = run_cycle(warehouse.settings, plan, Reporter(silent=True), ledger).build
    ledger.dispose()
    assert built is not None
    names = {node.name for node in built.nodes}
    assert names >= {
        "fct_sales",
        "fct_sales__amounts_add_up",
        "fct_sales_reconciles_with_staging",
        "daily_sales",
    }
    assert not any(name.startswith(("stg_", "int_orders__current__")) for name in names)


def test_a_reference_is_left_out_only_where_its_test_would_read_no_row(
    warehouse: ModelledWarehouse,
) -> None:
    settings, reference = warehouse.settings, "fct_sales__company_key_is_in_dim_company"
    ledger = open_ledger(settings)
    publish(settings, ledger, "run", AS_OF)
    ledger.dispose()
    left_out = idle_tests(settings, ["support__feedback"])
    assert reference in left_out
    assert "fct_feedback__company_key_is_in_dim_company" not in left_out
    assert not any("dim_customer__" in name for name in left_out), "it is read as a whole"
    warehouse.execute("create table core.kept as select * from core.dim_company")
    try:
        warehouse.execute("delete from core.dim_company")
        for only_changes in (True, False):
            result = build(settings, left_out, command="test", only_changes=only_changes)
            failed = {node.name for node in result.nodes if node.failed}
            assert failed == (set() if only_changes else {reference})
    finally:
        warehouse.execute("insert into core.dim_company select * from core.kept")
        warehouse.execute("drop table core.kept")
    land(warehouse, "4.5", 4)
    warehouse.dbt("run", exclude=VIEWS, as_of=AS_OF)
    assert reference not in idle_tests(settings, ["support__feedback"])
    assert reference not in idle_tests(settings, ["commerce__orders"])
