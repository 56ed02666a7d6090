"""Incremental build on 10,000 changed order items: against ten times less data, and a full refresh.

Wall time of `dbt run` of everything downstream of the orders, in a warm process, as the service
builds: views are there already. The orders that change are the newest, as they are in a shop, or
lie scattered over all of history, which leaves the engine nothing to skip. Before that all of them
came at once, into a warehouse that was built without any.
"""

from dataclasses import dataclass

from benchmarks.measure import empty_warehouse, figure, quick, seconds
from benchmarks.raw_rows import ITEMS_AN_ORDER, RawFiller
from ledger.settings import Settings
from operations.dbt_runner import build

CHANGED_ORDERS = 10_000 // ITEMS_AN_ORDER
ROUNDS = 3
MODELS = ("source:commerce.orders+", "source:commerce.order_items+")
VIEWS = ("config.materialized:view",)


@dataclass(frozen=True)
class Times:
    """Seconds of a build of all orders at once, of the newest, of scattered ones, and anew."""

    first: float
    newest: float
    scattered: float
    full: float


def dbt_run(settings: Settings, *, full_refresh: bool) -> None:
    """Models only: tests are the same in both."""
    result = build(settings, MODELS, exclude=VIEWS, full_refresh=full_refresh, command="run")
    assert result.succeeded, result.failures


def measure(engine: str, facts: int) -> Times:
    """Times with `facts` order items."""
    orders = facts // ITEMS_AN_ORDER
    changed = min(CHANGED_ORDERS, orders // 4)
    with empty_warehouse(engine) as settings:
        assert build(settings, command="seed").succeeded
        assert build(settings, command="run").succeeded
        filler = RawFiller(settings)
        filler.orders("1.0", 0, orders, version="2026-01-02T00:00:00Z")
        first = seconds(lambda: dbt_run(settings, full_refresh=False))
        full = seconds(lambda: dbt_run(settings, full_refresh=True))
        times: dict[str, list[float]] = {"newest": [], "scattered": []}
        for number in range(2, 2 + 2 * ROUNDS):
            kind = "newest" if number % 2 else "scattered"
            begin, step = (orders - changed, 1) if kind == "newest" else (0, orders // changed)
            version = f"2026-01-{number + 1:02}T00:00:00Z"
            filler.orders(f"{number}.0", begin, orders, version=version, step=step)
            times[kind].append(seconds(lambda: dbt_run(settings, full_refresh=False)))
            _check(settings, filler, f"{number}.0", facts=facts, changed=changed * ITEMS_AN_ORDER)
    return Times(first, min(times["newest"]), min(times["scattered"]), full)


def _check(settings: Settings, filler: RawFiller, load: str, *, facts: int, changed: int) -> None:
    """Every fact is there, and those that changed are of the newest load."""
    sales = f"{settings.working_schema('core')}.fct_sales"
    of_load = f"sum(case when _dlt_load_id = '{load}' then 1 else 0 end)"
    (found,) = filler.rows(f"select count(*), {of_load} from {sales}")
    assert found == (facts, changed), found


def main() -> None:
    """Print the figures; PostgreSQL at a tenth of the size."""
    sizes = {"duckdb": (1_000_000, 10_000_000), "postgres": (100_000, 1_000_000)}
    if quick():
        sizes = {"duckdb": (4_000, 40_000), "postgres": (4_000, 40_000)}
    for engine, (small, large) in sizes.items():
        few, many = measure(engine, small), measure(engine, large)
        figure(
            f"incremental build of {large:,} facts at once against a full refresh",
            engine,
            many.first / many.full,
            "≤ 3",
            f"{many.first:.1f} s against {many.full:.1f} s",
        )
        for kind, before, after in (
            ("newest", few.newest, many.newest),
            ("scattered", few.scattered, many.scattered),
        ):
            figure(
                f"incremental build ({kind} orders), {large:,} facts against {small:,}",
                engine,
                after / before,
                "≤ 1.5",
                f"{after:.1f} s against {before:.1f} s",
            )
            figure(
                f"incremental build ({kind} orders) against a full refresh, {large:,} facts",
                engine,
                after / many.full,
                "≤ 0.1",
                f"{after:.1f} s against {many.full:.1f} s",
            )


if __name__ == "__main__":
    main()
