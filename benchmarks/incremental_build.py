"""Incremental build on 10,000 changed order items: against ten times less data, and a full refresh.

Wall time of `dbt run` of everything downstream of the orders, in a warm process that has parsed the
project once, as the service does.
"""

from benchmarks.measure import empty_warehouse, figure, quick, seconds
from benchmarks.raw_rows import ITEMS_AN_ORDER, RawFiller
from ledger.settings import Settings
from operations.dbt_runner import build

CHANGED_ITEMS = 10_000
MODELS = ("stg_commerce__orders+", "stg_commerce__order_items+")


def dbt_run(settings: Settings, *, full_refresh: bool) -> None:
    """Models only: tests are the same in both."""
    result = build(settings, MODELS, full_refresh=full_refresh, command="run")
    assert result.succeeded, result.failures


def measure(engine: str, facts: int) -> tuple[float, float]:
    """Seconds of an incremental build and of a full refresh with `facts` order items."""
    orders = facts // ITEMS_AN_ORDER
    with empty_warehouse(engine) as settings:
        assert build(settings, command="seed").succeeded
        assert build(settings, command="run").succeeded
        filler = RawFiller(settings)
        filler.orders("1.0", 0, orders, version="2026-01-02T00:00:00Z")
        full = seconds(lambda: dbt_run(settings, full_refresh=True))
        times = []
        for number in (2, 3):
            step = max(1, orders * ITEMS_AN_ORDER // CHANGED_ITEMS)
            filler.orders(
                f"{number}.0", 0, orders, version=f"2026-01-0{number + 1}T00:00:00Z", step=step
            )
            times.append(seconds(lambda: dbt_run(settings, full_refresh=False)))
        core = settings.working_schema("core")
        found = filler.rows(f"select count(*) from {core}.fct_sales")[0][0]
        assert found == orders * ITEMS_AN_ORDER, found
    return min(times), full


def main() -> None:
    """Print the figures; PostgreSQL at a tenth of the size."""
    sizes = {"duckdb": (1_000_000, 10_000_000), "postgres": (100_000, 1_000_000)}
    if quick():
        sizes = {"duckdb": (4_000, 40_000), "postgres": (4_000, 40_000)}
    for engine, (small, large) in sizes.items():
        incremental_small, _ = measure(engine, small)
        incremental, full = measure(engine, large)
        figure(
            f"incremental build, {large:,} facts against {small:,}",
            engine,
            incremental / incremental_small,
            "≤ 1.5",
            f"{incremental:.1f} s against {incremental_small:.1f} s",
        )
        figure(
            f"incremental build against a full refresh, {large:,} facts",
            engine,
            incremental / full,
            "≤ 0.1",
            f"{incremental:.1f} s against {full:.1f} s",
        )


if __name__ == "__main__":
    main()
