"""The law of the incremental layer: incremental = full refresh, DuckDB = PostgreSQL.

For any split of the same records into loads, any order, any repeats: every row of `core`, `health`
and `sales` is the same. One engine goes through a generated stream step by step, the other builds
everything at once; then the first is rebuilt too.
"""

import os
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from integration.streams import START, Change, Step, land, record, streams
from support.modelled import ModelledWarehouse

from ledger.runs import now
from ledger.settings import Settings
from operations import dbt_runner
from operations.settled_claims import settle_claims

EXAMPLES = int(os.environ.get("LAW_EXAMPLES") or 1)
NEW_WEIGHTS = """
    update health.health_score_components
    set points_per_unit = points_per_unit + 1
    where component = 'engagement'
"""
CURRENT_STATE = ("int_*__current",)
WEIGHTS = "health_score_components"
VIEWS = ("path:models/staging", "path:models/marts/operations")
"""They hold no rows, and nothing that is rebuilt is below them: once they are there, they stay."""


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are built side by side, as outside the tests."""
    monkeypatch.setenv("WAREHOUSE_THREADS", "2")


class Journey:
    """Plays a stream on one warehouse, whose claims are summed up now and then."""

    def __init__(self, warehouse: ModelledWarehouse, *, full: bool) -> None:
        self.warehouse = warehouse
        self.full = full
        self.as_of = START
        warehouse.dbt("seed", WEIGHTS, full=True)

    def play(self, steps: Sequence[Step]) -> None:
        """Every step, then a last build with all loads visible."""
        late: list[str] = []
        for number, step in enumerate(steps):
            load_id = land(self.warehouse, number, step)
            self.as_of += timedelta(hours=step.hours)
            if step.new_weights:
                self.warehouse.execute(NEW_WEIGHTS)
            if not self.full:
                self.build(*(CURRENT_STATE if step.partial else ()))
            if number % 2:
                settle_claims(self.warehouse.settings, now(), dry_run=False)
            for earlier in late:
                self.warehouse.complete(earlier)
            late = [load_id] if step.late else []
        for earlier in late:
            self.warehouse.complete(earlier)
        self.build()

    def build(self, *selectors: str) -> None:
        """Build what holds rows."""
        self.warehouse.dbt("run", *selectors, exclude=VIEWS, as_of=self.as_of, full=self.full)


def empty(warehouse: ModelledWarehouse) -> None:
    """Forget every row, and every table of a model: its next build is its first.

    Seeds and views stay, but for the weights that a stream changes: those are a journey's to load.
    """
    nodes = dbt_runner.parse(warehouse.settings).nodes.values()
    tables = [
        f"{node.schema}.{node.alias}"
        for node in nodes
        if node.resource_type == "snapshot"
        or (node.resource_type == "model" and node.config.materialized != "view")
    ]
    held = warehouse.rows(
        "select table_schema, table_name from information_schema.tables"
        " where table_schema in ('raw', 'operations') and table_type = 'BASE TABLE'"
    )
    emptied = [f"delete from {schema}.{table}" for schema, table in held]
    warehouse.execute("; ".join([*(f"drop table if exists {name}" for name in tables), *emptied]))
    left = warehouse.rows("select table_schema, table_name from information_schema.tables")
    assert not {f"{schema}.{table}" for schema, table in left} & set(tables)


@pytest.fixture(scope="module")
def both(
    both_built_settings: dict[str, Settings],
) -> tuple[ModelledWarehouse, ModelledWarehouse]:
    """A DuckDB and a PostgreSQL warehouse, used for one example after another."""
    duckdb, postgres = (
        ModelledWarehouse(both_built_settings[engine], seeded=True)
        for engine in ("duckdb", "postgres")
    )
    return duckdb, postgres


@pytest.mark.parametrize("stepwise_engine", ["duckdb", "postgres"])
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(steps=streams())
def test_incremental_equals_full_refresh_on_both_engines(
    both: tuple[ModelledWarehouse, ModelledWarehouse], stepwise_engine: str, steps: list[Step]
) -> None:
    stepwise, rebuilt = both if stepwise_engine == "duckdb" else reversed(both)
    for warehouse in both:
        empty(warehouse)
    journey = Journey(stepwise, full=False)
    journey.play(steps)
    Journey(rebuilt, full=True).play(steps)
    incremental, full = stepwise.dump(), rebuilt.dump()
    assert sorted(incremental) == sorted(full)
    for table, rows in full.items():
        if table.startswith("health.company_health_") and table.endswith("_history"):
            continue  # A day that was not built has no row: see test_health_history.py.
        assert incremental[table] == rows, f"{table}: incremental on {stepwise.target.name}"
    stepwise.dbt("run", exclude=VIEWS, as_of=journey.as_of, full=True)
    assert stepwise.dump() == incremental, "a full refresh changed something"


def test_a_stream_has_what_the_law_is_about() -> None:
    change = Change("orders", 1, 2, 0b11110001)
    _, order = record(change)
    assert len(order.items) == 4
    assert record(Change("orders", 1, 2, 0))[1].items == []
