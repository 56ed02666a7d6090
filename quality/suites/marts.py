"""Marts after a build: orphans, emails, scores, rows of the day before, sums against staging.

What dbt tests (keys, references, accepted values, nulls) is not repeated here.
"""

import hashlib
import math
from collections.abc import Iterator
from datetime import UTC, timedelta

import great_expectations.expectations as gxe

from quality.history import SHRUNK
from quality.rules import FailingRows, Rule, Scope, short
from quality.suites.formats import EMAIL
from quality.suites.reconciliation import DAILY, SALES, reconciliation_rules

UNKNOWN = hashlib.md5(b"", usedforsecurity=False).hexdigest()
"""Key of the unknown member of a dimension, as macro `unknown_key` writes it."""
METRICS = "health.company_health_metrics"
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


def marts_rules(scope: Scope) -> list[Rule]:
    """Every rule of the suite."""
    return [
        *_shrinking(scope),
        *_future(scope),
        *_orphans(scope),
        *_dimensions(scope),
        *reconciliation_rules(scope),
        *_scores(scope),
        *_tickets(scope),
    ]


def _shrinking(scope: Scope) -> Iterator[Rule]:
    """Of little data any part may go, but not all of it."""
    kept = 1 - scope.thresholds["shrink_max_ratio"]
    for table in MAY_NOT_SHRINK:
        before = scope.history.published_rows.get(table, 0)
        is_little = before < scope.minimum_rows
        least = min(before, 1) if is_little else math.floor(before * kept)
        says = f"{{}} rows, {before} the day before, at least {least} allowed"
        expectation = gxe.ExpectTableRowCountToBeBetween(min_value=least)
        yield Rule(f"{short(table)}{SHRUNK}", table, expectation, says=says)


def _future(scope: Scope) -> Iterator[Rule]:
    """A few wrong dates hold nobody up; a source that writes all of them ahead does.

    A day of the past may be rebuilt: then the clock is the bound, for facts stay.
    """
    tolerance = timedelta(hours=scope.thresholds["future_tolerance_hours"])
    latest = (max(scope.as_of, scope.now) + tolerance).astimezone(UTC).replace(tzinfo=None)
    for table, (column, keys) in TIMES.items():
        yield Rule(
            f"{short(table)}__{column}_is_mostly_past",
            table,
            gxe.ExpectColumnValuesToBeBetween(
                column=column,
                max_value=latest,
                mostly=1 - scope.thresholds["future_max_ratio"],
            ),
            column,
            keys,
            minimum_rows=scope.minimum_rows,
        )


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
            judged_if=_arrivals(scope, dimension),
        )
        yield _arrived(scope, dimension)


def _arrivals(scope: Scope, dimension: str) -> str:
    """Before any customer came none is missed: a shop may have no customers at all."""
    return scope.some(f"core.dim_{dimension}", "not is_inferred and not is_unknown")


def _arrived(scope: Scope, dimension: str) -> Rule:
    """Sales of members that never came."""
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
        where orphaned > {ratio} * sale_count
    """
    return Rule(
        f"fct_sales__{dimension}_has_mostly_arrived",
        SALES,
        FailingRows(unexpected_rows_query=query),
        f"{dimension}_key",
        keys=("sales_key",),
        keys_query=orphans,
        minimum_rows=scope.minimum_rows,
        judged_if=_arrivals(scope, dimension),
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
    # Before anybody said anything, all companies have the score of those without a signal.
    heard = scope.some(METRICS, "event_count_90d > 0")
    yield Rule(name, METRICS, differ, column, minimum_rows=few, judged_if=heard)
    bands = "health.health_score_bands"
    # The last band has no end here: a score above 100 is the fault of another rule.
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
