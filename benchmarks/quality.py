"""The marts suite against the same rules as bare SQL, on the same data and in the same run.

5 million facts; wall time of a warm process. The bare rules are what a person would write: one
statement a table for what a scan can tell, and the queries across tables as they are.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

import duckdb
import psycopg2

from benchmarks.measure import empty_warehouse, figure, quick, seconds
from benchmarks.raw_rows import ITEMS_AN_ORDER, RawFiller
from ledger.settings import Settings
from operations.dbt_runner import build
from quality import check

AS_OF = datetime(2026, 1, 2, tzinfo=UTC)
REPEATS = 3
EMAIL = "^[^@ ]+@[^@ ]+[.][^@. ]+$"
MATCHES = {"duckdb": f"regexp_matches(email, '{EMAIL}')", "postgres": f"email ~ '{EMAIL}'"}
UNKNOWN = "md5('')"
FUTURE = "timestamp '2099-01-01'"


def bare_scans(settings: Settings) -> list[str]:
    """What one pass over a table tells."""
    core, health = (settings.working_schema(name) for name in ("core", "health"))

    def in_future(column: str) -> str:
        return f"sum(case when {column} > {FUTURE} then 1 else 0 end)"

    return [
        f"select count(*), {in_future('ordered_at')},"
        f" sum(case when customer_key = {UNKNOWN} then 1 else 0 end),"
        f" sum(case when product_key = {UNKNOWN} then 1 else 0 end) from {core}.fct_sales",
        f"select count(*), {in_future('opened_at')},"
        " sum(case when resolved_at < opened_at then 1 else 0 end)"
        f" from {core}.fct_support_tickets",
        f"select count(*), {in_future('created_at')} from {core}.fct_feedback",
        f"select count(*), {in_future('occurred_at')} from {core}.fct_user_events",
        f"select count(*), sum(case when {MATCHES[settings.engine_name]} then 0 else 1 end)"
        f" from {core}.dim_customer",
        f"select count(*) from {core}.dim_company",
        f"select count(*) from {core}.dim_product",
        "select sum(case when health_score between 0 and 100 then 0 else 1 end),"
        f" avg(health_score), count(distinct health_score) from {health}.company_health_metrics",
    ]


def bare_queries(settings: Settings) -> list[str]:
    """The rules across tables: what the suite asks, without the suite."""
    # Imported late, with the library below it, as the check itself does.
    from quality.rules import FailingRows
    from quality.runner import marts_scope
    from quality.suites.marts import marts_rules

    scope = marts_scope(settings, AS_OF)
    return [
        "select count(*) from ("
        + rule.expectation.unexpected_rows_query.format(
            batch=f"(select * from {scope.place(rule.table)}) as batch"
        )
        + ") as failing"
        for rule in marts_rules(scope)
        if isinstance(rule.expectation, FailingRows)
    ]


def run_bare(settings: Settings, statements: Sequence[str]) -> None:
    """Open, ask everything, close; as the suite does."""
    if settings.postgres_url is None:
        with duckdb.connect(str(settings.warehouse_path), read_only=True) as connection:
            for statement in statements:
                connection.execute(statement).fetchall()
        return
    connection = psycopg2.connect(**settings.postgres_parameters())
    with connection.cursor() as cursor:
        cursor.execute("set enable_nestloop = off")
        for statement in statements:
            cursor.execute(statement)
            cursor.fetchall()
    connection.close()


def run_suite(settings: Settings) -> None:
    """What a cycle does; every rule must hold."""
    result = check(settings, "marts", as_of=AS_OF)
    assert result.succeeded, result.failures


def measure(engine: str, facts: int) -> tuple[float, float]:
    """Median seconds of the suite and of the bare rules, taken in turn."""
    with empty_warehouse(engine) as settings:
        assert build(settings, command="seed").succeeded
        assert build(settings, command="run", as_of=AS_OF).succeeded
        filler = RawFiller(settings)
        version = "2026-01-01T00:00:00Z"
        filler.orders("1.0", 0, facts // ITEMS_AN_ORDER, version=version)
        assert build(settings, command="run", as_of=AS_OF).succeeded
        statements = bare_scans(settings) + bare_queries(settings)
        run_suite(settings)
        suite, bare = [], []
        for _ in range(REPEATS):
            suite.append(seconds(lambda: run_suite(settings)))
            bare.append(seconds(lambda: run_bare(settings, statements)))
    return median(suite), median(bare)


def main() -> None:
    """Print a figure for each engine."""
    facts = 200_000 if quick() else 5_000_000
    for engine in ("duckdb", "postgres"):
        suite, bare = measure(engine, facts)
        name = f"expectations against bare SQL, {facts:,} facts"
        figure(name, engine, suite / bare, "≤ 3", f"{suite:.2f} s against {bare:.2f} s")


if __name__ == "__main__":
    main()
