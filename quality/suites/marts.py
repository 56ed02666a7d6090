"""Marts after a build: orphans, emails, scores, rows of the day before, sums against staging.

What dbt tests (keys, references, accepted values, nulls) is not repeated here. Sums are found
without the incremental layer, from staging and the loads that a fact table says it has consumed.
"""

import hashlib
import math
from collections.abc import Iterator
from datetime import UTC, timedelta

import great_expectations.expectations as gxe

from quality.rules import FailingRows, Rule, Scope
from quality.suites.formats import EMAIL

UNKNOWN = hashlib.md5(b"", usedforsecurity=False).hexdigest()
"""Key of the unknown member of a dimension, as macro `unknown_key` writes it."""
SALES = "core.fct_sales"
METRICS = "health.company_health_metrics"
DAILY = "sales.daily_sales"
MAY_NOT_SHRINK = (
    SALES,
    "core.fct_support_tickets",
    "core.fct_feedback",
    "core.fct_user_events",
    "core.dim_customer",
    "core.dim_company",
    "core.dim_product",
    DAILY,
)
TIMES = {
    SALES: ("ordered_at", ("sales_key",)),
    "core.fct_support_tickets": ("opened_at", ("ticket_id",)),
    "core.fct_feedback": ("created_at", ("feedback_id",)),
    "core.fct_user_events": ("occurred_at", ("event_id",)),
}
COUNTED = {
    "core.fct_support_tickets": ("staging.stg_support__tickets", "ticket_id"),
    "core.fct_feedback": ("staging.stg_support__feedback", "feedback_id"),
    "core.fct_user_events": ("staging.stg_events__user_events", "event_id"),
}
LOADS = "select load_id from operations.load_claims where model = '{model}'"


def marts_rules(scope: Scope) -> list[Rule]:
    """Every rule of the suite."""
    return [
        *_shrinking(scope),
        *_future(scope),
        *_orphans(scope),
        *_dimensions(scope),
        *_counts(scope),
        _sales_sums(scope),
        _daily_totals(scope),
        *_scores(scope),
        *_tickets(scope),
    ]


def _shrinking(scope: Scope) -> Iterator[Rule]:
    kept = 1 - scope.thresholds["shrink_max_ratio"]
    for table in MAY_NOT_SHRINK:
        before = scope.history.published_rows.get(table, 0)
        least = math.floor(before * kept)
        name = f"{_short(table)}__has_the_rows_of_the_day_before"
        yield Rule(name, table, gxe.ExpectTableRowCountToBeBetween(min_value=least))


def _future(scope: Scope) -> Iterator[Rule]:
    """A day of the past may be rebuilt: then the clock is the bound, for facts stay."""
    tolerance = timedelta(hours=scope.thresholds["future_tolerance_hours"])
    latest = (max(scope.as_of, scope.now) + tolerance).astimezone(UTC).replace(tzinfo=None)
    for table, (column, keys) in TIMES.items():
        expectation = gxe.ExpectColumnValuesToBeBetween(column=column, max_value=latest)
        name = f"{_short(table)}__{column}_is_not_in_the_future"
        yield Rule(name, table, expectation, column, keys)
    expectation = gxe.ExpectColumnValuesToBeBetween(column="sales_date", max_value=latest.date())
    name = "daily_sales__sales_date_is_not_in_the_future"
    yield Rule(name, DAILY, expectation, "sales_date", ("sales_date",))


def _orphans(scope: Scope) -> Iterator[Rule]:
    for dimension in ("customer", "product"):
        ratio = scope.thresholds[f"unknown_{dimension}_max_ratio"]
        column = f"{dimension}_key"
        yield Rule(
            f"fct_sales__{dimension}_is_mostly_named",
            SALES,
            gxe.ExpectColumnValuesToNotBeInSet(
                column=column, value_set=[UNKNOWN], mostly=1 - ratio
            ),
            column,
            ("sales_key",),
            minimum_rows=scope.minimum_rows,
        )
        yield _arrived(scope, dimension)


def _arrived(scope: Scope, dimension: str) -> Rule:
    """Sales of members that never came; before any came there is nothing to miss."""
    table = f"core.dim_{dimension}"
    ratio = scope.thresholds[f"inferred_{dimension}_max_ratio"]
    members = scope.place(table)
    inferred = f"select {dimension}_key from {members} where is_inferred"
    orphans = f"select sales_key from {scope.place(SALES)} where {dimension}_key in ({inferred})"
    query = f"""
        with sales as not materialized (select * from {{batch}}),
        counted as (
            select
                count(*) as sale_count,
                sum(case when sales.{dimension}_key in ({inferred}) then 1 else 0 end) as orphaned
            from sales
        )
        select orphaned, sale_count from counted
        where
            orphaned > {ratio} * sale_count
            and exists (
                select 1 from {members} where not is_inferred and not is_unknown
            )
    """
    return Rule(
        f"fct_sales__{dimension}_has_mostly_arrived",
        SALES,
        FailingRows(unexpected_rows_query=query),
        f"{dimension}_key",
        keys=("sales_key",),
        keys_query=orphans,
        minimum_rows=scope.minimum_rows,
        needs=(table,),
    )


def _dimensions(scope: Scope) -> Iterator[Rule]:
    yield Rule(
        "dim_customer__email_has_the_form_of_an_address",
        "core.dim_customer",
        gxe.ExpectColumnValuesToMatchRegex(
            column="email", regex=EMAIL, mostly=scope.thresholds["valid_email_min_ratio"]
        ),
        "email",
        ("customer_key",),
        minimum_rows=scope.minimum_rows,
    )


def _counts(scope: Scope) -> Iterator[Rule]:
    for table, (staging, key) in COUNTED.items():
        loads = LOADS.format(model=_short(table))
        landed = f"select distinct {key} from {staging} where _dlt_load_id in ({loads})"
        query = f"""
            select landed.row_count as landed, facts.row_count as facts
            from (select count(*) as row_count from ({landed}) as ids) as landed
            cross join (select count(*) as row_count from {{batch}}) as facts
            where landed.row_count <> facts.row_count
        """
        differing = f"""
            select coalesce(landed.{key}, facts.{key}) as {key}
            from ({landed}) as landed
            full outer join {scope.place(table)} as facts on landed.{key} = facts.{key}
            where landed.{key} is null or facts.{key} is null
        """
        yield Rule(
            f"{_short(table)}__has_the_rows_of_staging",
            table,
            FailingRows(unexpected_rows_query=query),
            keys=(key,),
            keys_query=differing,
            needs=(staging, "operations.load_claims"),
        )


def _sales_sums(scope: Scope) -> Rule:
    """The items of each order's last live version, or of its last one if none lives."""
    loads = LOADS.format(model="fct_sales")
    items = f"""
        select distinct
            items.order_id,
            items.order_item_id,
            items.quantity,
            items.unit_price,
            coalesce(items.discount_amount, 0) as discount_amount
        from staging.stg_commerce__order_items as items
        inner join (
            select
                order_id, is_deleted, updated_at, _received_at, _row_hash,
                row_number() over (
                    partition by order_id
                    order by
                        is_deleted, updated_at desc, _received_at desc, _row_hash desc,
                        _dlt_load_id desc
                ) as version_rank
            from staging.stg_commerce__orders
            where _dlt_load_id in ({loads})
        ) as versions
            on
                items.order_id = versions.order_id
                and items.is_deleted = versions.is_deleted
                and items.order_updated_at = versions.updated_at
                and items._received_at = versions._received_at
                and items._row_hash = versions._row_hash
        where versions.version_rank = 1 and items._dlt_load_id in ({loads})
    """
    summed = """
        count(*) as row_count,
        coalesce(sum(quantity), 0) as quantity,
        coalesce(sum(quantity * cast(unit_price as numeric(28, 6))), 0) as total_amount,
        coalesce(sum(discount_amount), 0) as discount_amount
    """
    facts_summed = summed.replace("quantity * cast(unit_price as numeric(28, 6))", "total_amount")
    differs = " or ".join(
        f"landed.{column} is distinct from facts.{column}"
        for column in ("row_count", "quantity", "total_amount", "discount_amount")
    )
    query = f"""
        select
            landed.row_count as landed_rows, facts.row_count as fact_rows,
            landed.total_amount as landed_amount, facts.total_amount as fact_amount
        from (select {summed} from ({items}) as items) as landed
        cross join (select {facts_summed} from {{batch}}) as facts
        where {differs}
    """
    by_order = f"""
        select coalesce(landed.order_id, facts.order_id) as order_id
        from (select order_id, {summed} from ({items}) as items group by order_id) as landed
        full outer join (
            select order_id, {facts_summed} from {scope.place(SALES)} as facts group by order_id
        ) as facts on landed.order_id = facts.order_id
        where {differs}
    """
    return Rule(
        "fct_sales__sums_equal_staging",
        SALES,
        FailingRows(unexpected_rows_query=query),
        keys=("order_id",),
        keys_query=by_order,
        needs=(
            "staging.stg_commerce__orders",
            "staging.stg_commerce__order_items",
            "operations.load_claims",
        ),
    )


def _daily_totals(scope: Scope) -> Rule:
    query = f"""
        select coalesce(daily.sales_date, facts.sales_date) as sales_date
        from (select sales_date, total_revenue from {{batch}}) as daily
        full outer join (
            select cast(ordered_at as date) as sales_date, sum(net_amount) as total_revenue
            from {scope.place(SALES)}
            where not is_cancelled
            group by cast(ordered_at as date)
        ) as facts on daily.sales_date = facts.sales_date
        where daily.total_revenue is distinct from facts.total_revenue
    """
    return Rule(
        "daily_sales__total_revenue_equals_fct_sales",
        DAILY,
        FailingRows(unexpected_rows_query=query),
        "total_revenue",
        keys=("sales_date",),
        needs=(SALES,),
    )


def _scores(scope: Scope) -> Iterator[Rule]:
    column, keys = "health_score", ("company_id",)
    inside = gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0, max_value=100)
    yield Rule("company_health_metrics__score_is_in_range", METRICS, inside, column, keys)
    mean = gxe.ExpectColumnMeanToBeBetween(
        column=column,
        min_value=scope.thresholds["mean_score_min"],
        max_value=scope.thresholds["mean_score_max"],
    )
    few = scope.minimum_rows
    name = "company_health_metrics__mean_score_is_believable"
    yield Rule(name, METRICS, mean, column, minimum_rows=few)
    differ = gxe.ExpectColumnUniqueValueCountToBeBetween(column=column, min_value=2)
    name = "company_health_metrics__scores_differ"
    yield Rule(name, METRICS, differ, column, minimum_rows=few)
    bands = "health.health_score_bands"
    query = f"""
        select metrics.company_id
        from (select company_id, health_score, health_band from {{batch}}) as metrics
        left join (
            select
                health_band, min_score,
                lead(min_score) over (order by min_score) as next_min_score
            from {scope.place(bands)}
        ) as bands
            on
                metrics.health_band = bands.health_band
                and metrics.health_score >= bands.min_score
                and metrics.health_score < coalesce(bands.next_min_score, 1000)
        where bands.health_band is null
    """
    yield Rule(
        "company_health_metrics__band_fits_score",
        METRICS,
        FailingRows(unexpected_rows_query=query),
        "health_band",
        keys,
        needs=(bands,),
    )


def _tickets(scope: Scope) -> Iterator[Rule]:
    yield Rule(
        "fct_support_tickets__resolved_after_opened",
        "core.fct_support_tickets",
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="resolved_at",
            column_B="opened_at",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            mostly=1 - scope.thresholds["resolved_before_opened_max_ratio"],
        ),
        "resolved_at",
        ("ticket_id",),
        minimum_rows=scope.minimum_rows,
    )


def _short(table: str) -> str:
    return table.rpartition(".")[2]
