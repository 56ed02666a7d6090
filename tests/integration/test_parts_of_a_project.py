"""Parts of the project, built in a warehouse where nothing was built before."""

from ledger.settings import Settings
from operations.cycle import run_cycle
from operations.dbt_runner import has_every_model
from operations.plan import Plan
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


def test_all_tests_come_with_a_part_once_everything_is_built(built_settings: Settings) -> None:
    assert has_every_model(built_settings)
    plan = Plan("build", selectors=["dim_company"])
    result = run_cycle(built_settings, plan, Reporter(silent=True))
    assert result.errors == []
    assert result.build is not None
    assert any(run.table == "fct_feedback" for run in result.build.nodes)
