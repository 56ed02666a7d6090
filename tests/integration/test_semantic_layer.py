"""The semantic layer gives the marts' figures: by the API and by `mf query`, on both engines."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from support.modelled import VIEWS, ModelledWarehouse
from support.parsed import write
from support.warehouse import Warehouse

from demo import DemoServer, generate
from operations.dbt_runner import PROJECT
from serving.exports import ExportRequest, export_of
from serving.metrics import compute
from serving.pool import ReaderPool
from serving.publish import publish
from serving.reader import open_published
from serving.semantic import Filter, MetricQuery, SemanticFile

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
MARTS = {
    "total_revenue": "select sum(total_revenue) from sales.daily_sales",
    "order_count": "select sum(order_count) from sales.daily_sales",
    "customer_count": "select sum(customer_count) from sales.sales_by_segment",
    "average_health_score": (
        "select cast(sum(health_score) as decimal(18, 6)) / count(*)"
        " from health.company_health_metrics"
    ),
    "companies_at_risk": (
        "select count(*) from health.company_health_metrics where health_band = 'at_risk'"
    ),
    "ticket_count": "select count(*) from core.fct_support_tickets",
    "purchases_today": "select coalesce(sum(purchases), 0) from sales.metrics_today",
    "revenue_today": "select coalesce(sum(revenue), 0) from sales.metrics_today",
}
DATASETS = {
    "health": "core.dim_company where not is_unknown",
    "sales": "core.fct_sales",
    "dim_date": "core.dim_date",
    "company_health_history": "health.company_health_history",
}


def test_figures_are_those_of_the_marts(
    built_warehouse: Warehouse, serve: Callable[..., DemoServer], tmp_path: Path
) -> None:
    settings = built_warehouse.settings
    serve(generate(7, 0.05, AS_OF))
    built_warehouse.sync()
    ModelledWarehouse(settings, seeded=True).dbt("run", exclude=VIEWS, as_of=AS_OF)
    publish(settings, built_warehouse.ledger, "a-run", AS_OF)
    layer = SemanticFile(write(settings), settings.engine_name).layer()
    pool = ReaderPool(settings)
    with open_published(settings) as reader:
        published = reader.publication

        def ask(metric: str, *group_by: str, **only: str) -> list[tuple[Any, ...]]:
            filters = tuple(Filter(name, ":", (value,)) for name, value in only.items())
            kept = compute(layer, pool, MetricQuery(metric, group_by, filters), published)
            return [tuple(row.values()) for row in json.loads(kept.body)["rows"]]

        for metric, query in MARTS.items():
            ((expected,),) = reader.fetch(query)
            assert_same(ask(metric), [(expected,)])
        for part, column, mart in (
            ("segment", "segment", "sales.sales_by_segment"),
            ("metric_time__day", "sales_date", "sales.daily_sales"),
        ):
            for metric in ("total_revenue", "order_count", "average_order_value"):
                rows = reader.fetch(f"select {column}, {metric} from {mart}")
                assert len(rows) > 2
                found = [(name or "unknown", value) for name, value in ask(metric, part)]
                assert_same(sorted(found), sorted((str(name), value) for name, value in rows))
        ((total,),) = ask("total_revenue")
        for dataset, table in DATASETS.items():
            export = export_of(reader, ExportRequest(dataset))
            ((number,),) = reader.fetch(f"select count(*) from {table}")
            assert sum(part.rows for part in export.parts(tmp_path)) == number, dataset
    pool.close()
    assert Decimal(by_command(settings.home, settings.target)) == Decimal(total).quantize(
        Decimal("0.01"), ROUND_HALF_UP
    )


def assert_same(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> None:
    def exact(value: Any) -> Decimal:
        return Decimal(str(value)).quantize(Decimal("0.000001"), ROUND_HALF_UP)

    assert [(*row[:-1], exact(row[-1])) for row in found] == [
        (*row[:-1], exact(row[-1])) for row in expected
    ]


def by_command(home: Path, target: str) -> str:
    """What `mf query` prints of the total revenue."""
    project = home / "project"
    project.mkdir()
    for name in ("dbt_project.yml", "models", "macros", "seeds", "snapshots", "tests"):
        (project / name).symlink_to(PROJECT / name)
    shutil.copytree(home / "target", project / "target")
    # It knows no target but the profile's own.
    profiles = (home / "profiles" / "profiles.yml").read_text()
    (project / "profiles.yml").write_text(profiles.replace("target: local", f"target: {target}"))
    environment = os.environ | {"DBT_PROFILES_DIR": str(project)}
    mf = Path(sys.executable).parent / "mf"
    out = home / "mf.csv"
    command = [mf, "query", "--metrics", "total_revenue", "--csv", str(out), "--decimals", "6"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out.read_text().splitlines()[1]
