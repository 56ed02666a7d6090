"""Parts of the project, built in a warehouse where nothing was built before."""

from pathlib import Path

import pytest

from ledger.settings import Settings
from operations import cycle
from operations.cycle import run_cycle
from operations.dbt_results import BuildResult
from operations.dbt_runner import has_every_model
from operations.plan import CycleResult, Plan
from operations.progress import Reporter


def test_a_part_is_built_where_nothing_was_before(settings: Settings) -> None:
    """Only with the tests that read what is there: others come once everything is."""
    alone = run_cycle(settings, Plan("build", selectors=["dim_company"]), Reporter(silent=True))
    failed, publication = alone.errors
    assert failed.endswith("; what it reads was never built? `warehouse build +dim_company`")
    assert publication == "not published: dbt: dim_company failed; readers see nothing yet"
    result = run_cycle(settings, Plan("build", selectors=["+dim_company"]), Reporter(silent=True))
    assert result.errors == []
    assert result.build is not None
    tests = {run.name for run in result.build.nodes if run.resource_type == "test"}
    assert "dim_company__company_key_is_unique" in tests
    assert not has_every_model(settings)


@pytest.mark.parametrize(
    ("plan", "is_whole", "tests"),
    [
        (Plan("build", selectors=["dim_company"]), True, "eager"),
        (Plan("build", selectors=["dim_company"]), False, "buildable"),
        (Plan("build", selectors=[]), False, "eager"),
        (Plan("serve", news=frozenset({"crm__users"})), False, "empty"),
    ],
)
def test_which_tests_come_with_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: Plan, is_whole: bool, tests: str
) -> None:
    asked = []
    monkeypatch.setattr(cycle, "has_every_model", lambda _: is_whole)
    monkeypatch.setattr(
        cycle, "build", lambda *_, **how: asked.append(how["indirect_selection"]) or BuildResult()
    )
    selectors = plan.selectors if plan.selectors is not None else ["stg_crm__users+"]
    cycle._build(Settings(tmp_path), plan, selectors, CycleResult(), Reporter(silent=True))
    assert asked == [tests]
