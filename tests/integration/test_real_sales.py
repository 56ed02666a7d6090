"""Real sales: every figure of the data's README, from core.fct_sales, on both engines.

DuckDB gets the data in two syncs and two builds, PostgreSQL at once; the facts must be the same.
"""

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from demo import DemoServer, Store
from ledger.runs import now
from ledger.settings import Settings
from loaders.sources import SOURCES
from loaders.target import Target
from operations.cycle import run_cycle
from operations.plan import Plan
from operations.progress import Reporter
from quality import check

DATA = Path(__file__).parents[3] / "shared" / "real" / "online_retail"
MODELS = ("resource_type:seed", "resource_type:model")
MONTHS = {
    "2010-12": "748957.020",
    "2011-01": "560000.260",
    "2011-02": "498062.650",
    "2011-03": "683267.080",
    "2011-04": "493207.121",
    "2011-05": "723333.510",
    "2011-06": "568316.290",
}
FIGURES = """
    select
        count(*),
        sum(total_amount),
        sum(case when dim_customer.customer_id is null then 1 else 0 end),
        sum(case when is_cancelled then 1 else 0 end),
        sum(case when quantity < 0 then 1 else 0 end),
        sum(case when unit_price = 0 then 1 else 0 end),
        count(distinct dim_location.country),
        count(distinct order_id)
    from core.fct_sales
    join core.dim_customer on dim_customer.customer_key = fct_sales.customer_key
    join core.dim_location on dim_location.location_key = fct_sales.location_key
"""
BY_MONTH = "select substring(date_key, 1, 7), sum(total_amount) from core.fct_sales group by 1"


def countries() -> int:
    """Distinct countries of the file: 37 ("EIRE" and "Unspecified" among them)."""
    with gzip.open(DATA / "orders.jsonl.gz") as lines:
        return len({json.loads(line)["shipping_address"]["country"] for line in lines})


def cycle(settings: Settings, *selectors: str) -> None:
    plan = Plan("run", sources=list(SOURCES), selectors=selectors)
    result = run_cycle(settings, plan, Reporter(silent=True))
    assert result.succeeded, result.errors


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real sales data is not there: {DATA}")
def test_real_sales_reproduce_every_figure(
    serve: Callable[..., DemoServer], tmp_path: Path, postgres_database: URL
) -> None:
    store = Store.from_folder(DATA)
    release = store.withhold_newest(0.1)
    serve(store)
    settings = [Settings(tmp_path / "a"), Settings(tmp_path / "b", "prod", postgres_database)]
    for each in settings:
        each.home.mkdir()
    cycle(settings[0], *MODELS)
    release()
    rows: list[list[tuple[Any, ...]]] = []
    for each in settings:
        cycle(each, *(MODELS if each.postgres_url else ()))
        target = Target(each)
        for suite in ("raw", "marts"):
            assert check(each, suite, as_of=now()).failures == []
        (figures,) = target.fetch(FIGURES)
        assert figures == (
            240_007,
            Decimal("4275143.931"),
            67_225,
            4_350,
            5_087,
            1_413,
            countries(),
            12_468,
        )
        months = (
            "select substring(date_key, 1, 7), sum(total_amount) from core.fct_sales group by 1"
        )
        assert dict(target.fetch(months)) == {m: Decimal(total) for m, total in MONTHS.items()}
        rows.append(
            target.fetch(
                "select sales_key, order_id, order_item_id, date_key, customer_key, product_key,"
                " location_key, company_key, quantity, unit_price, total_amount, discount_amount,"
                " net_amount, currency, order_status, ordered_at from core.fct_sales"
                " order by sales_key"
            )
        )
    assert rows[0] == rows[1]
