"""Claims that are summed up: nothing is read twice or forgotten, and the list stays short."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from support.modelled import VIEWS, ModelledWarehouse

from ledger.runs import now
from ledger.settings import Settings
from loaders.contracts import ENTITIES
from operations.settled_claims import settle_claims
from quality.suites.reconciliation import CLAIMED

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)
FEEDBACK = next(entity for entity in ENTITIES if entity.name == "feedback")
CURRENT, FACTS = "int_feedback__current", "+fct_feedback"
_loads = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def warehouse(built_module_settings: Settings) -> ModelledWarehouse:
    return ModelledWarehouse(built_module_settings, seeded=True)


def land(warehouse: ModelledWarehouse, id: str, version: int = 1, *, complete: bool = True) -> str:
    number = next(_loads)
    record = {"id": id, "company_id": "c", "sentiment": "neutral", "body": f"version {version}"}
    times = {"created_at": "2026-02-01T00:00:00Z", "updated_at": f"2026-02-0{version}T00:00:00Z"}
    rows = [(FEEDBACK, msgspec.convert(record | times, FEEDBACK.contract), False)]
    received_at = AS_OF + timedelta(seconds=number)
    warehouse.land(f"{number}.5", rows, received_at=received_at, complete=complete)
    return f"{number}.5"


def run(warehouse: ModelledWarehouse, *selectors: str, full: bool = False) -> None:
    warehouse.dbt("run", *selectors, exclude=VIEWS, as_of=AS_OF, full=full)


def settle(warehouse: ModelledWarehouse) -> int:
    return settle_claims(warehouse.settings, now(), dry_run=False).get("load_claims", 0)


def claims(warehouse: ModelledWarehouse, model: str) -> set[str]:
    query = f"select load_id from operations.load_claims where model = '{model}'"
    return {load_id for (load_id,) in warehouse.rows(query)}


def versions(warehouse: ModelledWarehouse, *ids: str) -> list[tuple[str, str]]:
    wanted = "', '".join(ids)
    return warehouse.rows(
        "select feedback_id, right(cast(updated_at as text), 11)"
        f" from intermediate.{CURRENT} where feedback_id in ('{wanted}') order by feedback_id"
    )


def ids(warehouse: ModelledWarehouse, prefix: str) -> list[str]:
    query = f"select feedback_id from core.fct_feedback where feedback_id like '{prefix}%'"
    return sorted(id for (id,) in warehouse.rows(query))


def test_what_is_claimed_by_all_is_summed_up_and_a_dry_run_says_so(
    warehouse: ModelledWarehouse,
) -> None:
    load_id = land(warehouse, "sum-1")
    run(warehouse, FACTS)
    assert {load_id} <= claims(warehouse, "fct_feedback")
    foreseen = settle_claims(warehouse.settings, now(), dry_run=True)
    assert claims(warehouse, "fct_feedback"), "a dry run"
    assert foreseen["load_claims"] == settle(warehouse)
    assert not claims(warehouse, "fct_feedback")
    assert settle(warehouse) == 0
    run(warehouse, FACTS)
    assert not claims(warehouse, "fct_feedback"), "no load is claimed twice"


def test_what_was_completed_after_the_moment_keeps_its_claims(warehouse: ModelledWarehouse) -> None:
    before = now()
    load_id = land(warehouse, "young-1")
    run(warehouse, FACTS)
    settle_claims(warehouse.settings, before, dry_run=False)
    assert claims(warehouse, "fct_feedback") == {load_id}


def test_a_load_that_becomes_visible_late_is_consumed(warehouse: ModelledWarehouse) -> None:
    late = land(warehouse, "late-1", complete=False)
    land(warehouse, "late-2")
    run(warehouse, FACTS)
    settle(warehouse)
    warehouse.complete(late)
    run(warehouse, FACTS)
    assert ids(warehouse, "late-") == ["late-1", "late-2"]


def test_a_model_that_lags_consumes_what_the_others_have(warehouse: ModelledWarehouse) -> None:
    first = land(warehouse, "lag-1")
    run(warehouse, CURRENT)
    land(warehouse, "lag-2")
    settle(warehouse)
    assert first not in claims(warehouse, CURRENT)
    assert ids(warehouse, "lag-") == []
    run(warehouse, FACTS)
    assert ids(warehouse, "lag-") == ["lag-1", "lag-2"]
    settle(warehouse)
    assert not claims(warehouse, "fct_feedback")


def test_a_load_behind_one_that_waits_keeps_its_claim(warehouse: ModelledWarehouse) -> None:
    """The moment is that of the first load which a model has not claimed."""
    run(warehouse, FACTS)
    settle(warehouse)
    land(warehouse, "behind-1")
    claimed = land(warehouse, "behind-2")
    values = f"'fct_feedback', '{claimed}', 'a build', '2026-01-01'"
    warehouse.execute(
        "insert into operations.load_claims (model, load_id, invocation_id, claimed_at)"
        f" values ({values})"
    )
    run(warehouse, CURRENT)
    settle(warehouse)
    assert claims(warehouse, "fct_feedback") == {claimed}
    run(warehouse, FACTS)
    assert ids(warehouse, "behind-") == ["behind-1"], "the other was said to be consumed"
    run(warehouse, FACTS, full=True)
    assert ids(warehouse, "behind-") == ["behind-1", "behind-2"]


def test_versions_are_told_apart_over_the_moment(warehouse: ModelledWarehouse) -> None:
    land(warehouse, "version-1", 2)
    land(warehouse, "version-2", 2)
    run(warehouse, FACTS)
    settle(warehouse)
    land(warehouse, "version-1", 1)
    land(warehouse, "version-2", 3)
    run(warehouse, FACTS)
    newest = [("version-1", "02 00:00:00"), ("version-2", "03 00:00:00")]
    assert versions(warehouse, "version-1", "version-2") == newest


def test_building_anew_reads_everything_again(warehouse: ModelledWarehouse) -> None:
    land(warehouse, "anew-1")
    run(warehouse, FACTS)
    settle(warehouse)
    before = warehouse.dump(("core",))
    run(warehouse, FACTS, full=True)
    assert warehouse.dump(("core",)) == before
    settle(warehouse)
    warehouse.dbt("run", CURRENT, "fct_feedback", "--empty", as_of=AS_OF, full=True)
    assert ids(warehouse, "") == []
    run(warehouse, FACTS)
    assert warehouse.dump(("core",)) == before


def test_rules_that_compare_with_staging_count_what_was_summed_up(
    warehouse: ModelledWarehouse,
) -> None:
    land(warehouse, "rule-1")
    run(warehouse, FACTS)
    settle(warehouse)
    warehouse.dbt("test", "fct_feedback_reconciles_with_staging", as_of=AS_OF)
    claimed = CLAIMED.format(column="_dlt_load_id", model="fct_feedback")
    landed = f"select distinct feedback_id from staging.stg_support__feedback where {claimed}"
    assert sorted(id for (id,) in warehouse.rows(landed)) == ids(warehouse, "")
    warehouse.execute("delete from core.fct_feedback where feedback_id = 'rule-1'")
    outcome = warehouse.try_dbt("test", "fct_feedback_reconciles_with_staging", as_of=AS_OF)
    assert not outcome.success
    run(warehouse, FACTS, full=True)
