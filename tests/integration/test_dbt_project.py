"""The dbt project keeps its own rules, and each of its custom tests can fail."""

import copy
from collections.abc import Callable
from typing import Any

import duckdb
import psycopg2
import pytest
from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS
from support.coverage import debts

from ledger.settings import Settings
from operations import dbt_runner
from operations.dbt_runner import PROJECT, build, has_every_model, invoke
from operations.dbt_shortcuts import BEHAVIOR_FLAGS

GENERIC = PROJECT / "tests" / "dbt" / "generic"
# By test: its arguments, rows that fulfil it, and sets of rows that do not.
CASES: dict[str, tuple[str, str, list[str]]] = {
    "amounts_add_up": (
        "total='total', discount='discount', net='net'",
        "select 3.3 as total, 0.3 as discount, 3.0 as net union all select 1, 0, 1",
        ["select 3.3 as total, 0.3 as discount, 3.000001 as net"],
    ),
    "never_null": (
        "columns=['one', 'other']",
        "select 1 as one, 1 as other union all select 2, 0",
        [
            "select 1 as one, cast(null as integer) as other",
            "select cast(null as integer) as one, 1 as other union all select 1, 1",
        ],
    ),
    "unique_combination": (
        "columns=['one', 'other']",
        "select 1 as one, 1 as other union all select 1, 2 union all select 2, 1",
        [
            "select 1 as one, 2 as other union all select 1, 2",
            "select 1 as one, cast(null as integer) as other union all select 1, null",
        ],
    ),
    "no_overlapping_periods": (
        "key='k', valid_from='starts', valid_to='ends'",
        "select 'a' as k, 1 as starts, 2 as ends union all select 'a', 2, null"
        " union all select 'b', 1, null",
        [
            "select 'a' as k, 1 as starts, 3 as ends union all select 'a', 2, null",
            "select 'a' as k, 1 as starts, cast(null as integer) as ends union all"
            " select 'a', 2, null",
            "select 'a' as k, 2 as starts, 2 as ends",
        ],
    ),
}


@pytest.fixture(scope="module")
def parsed(module_settings: Settings) -> tuple[Settings, Any]:
    """The project, parsed once for each engine."""
    return module_settings, dbt_runner.parse(module_settings)


@pytest.fixture(scope="module")
def manifest(parsed: tuple[Settings, Any]) -> dict[str, Any]:
    return dict(parsed[1].to_dict(omit_none=False))


def failing_rows(settings: Settings, query: str) -> int:
    counted = f"select count(*) from ({query}) as failing"
    if settings.postgres_url is None:
        with duckdb.connect() as connection:
            return int(connection.execute(counted).fetchall()[0][0])
    connection = psycopg2.connect(**settings.postgres_parameters())
    with connection.cursor() as cursor:
        cursor.execute(counted)
        ((number,),) = cursor.fetchall()
    connection.close()
    return int(number)


def test_every_custom_test_has_its_cases() -> None:
    assert {path.stem for path in GENERIC.glob("*.sql")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_custom_tests_pass_on_good_rows_and_fail_on_bad_ones(
    parsed: tuple[Settings, Any], name: str
) -> None:
    settings, project = parsed
    arguments, good, bad = CASES[name]
    inline = "\n;;\n".join(
        f'{{{{ test_{name}(model="({rows}) as judged", {arguments}) }}}}' for rows in (good, *bad)
    )
    outcome = invoke(settings, ["compile", "--inline", inline], manifest=project)
    assert outcome.success, outcome.exception
    compiled = outcome.result.results[0].node.compiled_code
    passing, *failing = [failing_rows(settings, query) for query in compiled.split(";;")]
    assert passing == 0
    assert all(failing), failing


def test_every_model_is_described_keyed_and_contracted(manifest: dict[str, Any]) -> None:
    assert debts(manifest) == []


def _model(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda manifest: manifest["nodes"][f"model.warehouse.{name}"]


def _without_tests(manifest: dict[str, Any], model: str, kind: str) -> None:
    manifest["nodes"] = {
        id: node
        for id, node in manifest["nodes"].items()
        if node.get("attached_node") != f"model.warehouse.{model}"
        or (node.get("test_metadata") or {}).get("name") != kind
    }


DOCTORED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "fct_sales: no description": lambda m: _model("fct_sales")(m).update(description=" "),
    "stg_crm__users.email: no description": lambda m: _model("stg_crm__users")(m)["columns"][
        "email"
    ].update(description=""),
    "fct_sales: the contract is not enforced": lambda m: _model("fct_sales")(m)["contract"].update(
        enforced=False
    ),
    "fct_sales.quantity: no data type in the contract": lambda m: _model("fct_sales")(m)["columns"][
        "quantity"
    ].update(data_type=None),
    "fct_feedback: no key is tested unique and not null": lambda m: _without_tests(
        m, "fct_feedback", "unique"
    ),
    "dim_company: no key is tested unique and not null": lambda m: _without_tests(
        m, "dim_company", "never_null"
    ),
    "stg_crm__users: no key is tested not null": lambda m: _without_tests(
        m, "stg_crm__users", "never_null"
    ),
    "holidays.holiday_name: no description": lambda m: m["nodes"]["seed.warehouse.holidays"][
        "columns"
    ]["holiday_name"].update(description=""),
    "crm.users: no description": lambda m: m["sources"]["source.warehouse.crm.users"].update(
        description=""
    ),
    "fct_feedback__sentiment_is_known: severity is warn": lambda m: next(
        node for node in m["nodes"].values() if node["name"] == "fct_feedback__sentiment_is_known"
    )["config"].update(severity="warn"),
}


def test_every_unit_test_of_a_model_holds(built_module_settings: Settings) -> None:
    result = build(built_module_settings, ("test_type:unit",), command="test")
    assert result.failures == []
    assert result.counts["pass"] == len(dbt_runner.parse(built_module_settings).unit_tests)


def test_every_model_is_there_once_everything_is_built(built_module_settings: Settings) -> None:
    assert has_every_model(built_module_settings)


def test_the_coverage_check_can_fail(manifest: dict[str, Any]) -> None:
    for debt, doctor in DOCTORED.items():
        doctored = copy.deepcopy(manifest)
        doctor(doctored)
        assert debts(doctored) == [debt]


def test_commands_leave_nothing_behind_that_slows_the_next(parsed: tuple[Settings, Any]) -> None:
    settings, manifest = parsed
    for _ in range(3):
        assert invoke(settings, ["ls", "--select", "fct_sales"], manifest=manifest).success
    assert len(DEFAULT_BASE_BEHAVIOR_FLAGS) <= len(BEHAVIOR_FLAGS) + 1
