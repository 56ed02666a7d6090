"""Facts against staging, and daily sales against facts.

Sums are found without the incremental layer: from staging, and the loads that a fact table says it
has consumed.
"""

from collections.abc import Iterator

from ledger.versions import newest_first
from quality.rules import FailingRows, Rule, Scope, short

SALES = "core.fct_sales"
DAILY = "sales.daily_sales"
COUNTED = {
    "core.fct_support_tickets": ("staging.stg_support__tickets", "ticket_id"),
    "core.fct_feedback": ("staging.stg_support__feedback", "feedback_id"),
    "core.fct_user_events": ("staging.stg_events__user_events", "event_id"),
}
CLAIMED = """(
    {column} in (
        select load_id from operations.load_claims where model = '{model}'
        union all
        select load_id from raw._dlt_loads
        where status = 0 and inserted_at < (
            select max(settled_until) from operations.settled_claims where model = '{model}'
        )
    )
) is true"""
"""As macro `claimed_by`: with a join PostgreSQL would expect a few rows where all are meant."""
ITEMS = f"""
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
                order by is_deleted, {newest_first(is_deleted="is_deleted")}
            ) as version_rank
        from staging.stg_commerce__orders
        where {{claimed}}
    ) as versions
        on
            items.order_id = versions.order_id
            and items.is_deleted = versions.is_deleted
            and items.order_updated_at = versions.updated_at
            and items._received_at = versions._received_at
            and items._row_hash = versions._row_hash
    where versions.version_rank = 1 and {{items_claimed}}
"""
"""The items of each order's last live version, or of its last one if none lives."""
SUMS = """
    count(*) as row_count,
    coalesce(sum(quantity), 0) as quantity,
    coalesce(sum({amount}), 0) as total_amount,
    coalesce(sum(discount_amount), 0) as discount_amount
"""
LANDED_SUMS = SUMS.format(amount="quantity * cast(unit_price as numeric(28, 6))")
FACT_SUMS = SUMS.format(amount="total_amount")
DIFFERS = " or ".join(
    f"landed.{column} is distinct from facts.{column}"
    for column in ("row_count", "quantity", "total_amount", "discount_amount")
)


def reconciliation_rules(scope: Scope) -> Iterator[Rule]:
    """Every rule of this file."""
    yield from _counts(scope)
    yield _sales_sums(scope)
    yield _daily_totals(scope)


def _counts(scope: Scope) -> Iterator[Rule]:
    for table, (staging, key) in COUNTED.items():
        claimed = CLAIMED.format(column="_dlt_load_id", model=short(table))
        landed = f"select distinct {key} from {staging} where {claimed}"
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
            f"{short(table)}__has_the_rows_of_staging",
            table,
            FailingRows(unexpected_rows_query=query),
            keys=(key,),
            keys_query=differing,
            needs=(staging, "operations.load_claims"),
            compares_history=True,
        )


def _sales_sums(scope: Scope) -> Rule:
    items = ITEMS.format(
        claimed=CLAIMED.format(column="_dlt_load_id", model="fct_sales"),
        items_claimed=CLAIMED.format(column="items._dlt_load_id", model="fct_sales"),
    )
    query = f"""
        select
            landed.row_count as landed_rows, facts.row_count as fact_rows,
            landed.total_amount as landed_amount, facts.total_amount as fact_amount
        from (select {LANDED_SUMS} from ({items}) as items) as landed
        cross join (select {FACT_SUMS} from {{batch}}) as facts
        where {DIFFERS}
    """
    by_order = f"""
        select coalesce(landed.order_id, facts.order_id) as order_id
        from (select order_id, {LANDED_SUMS} from ({items}) as items group by order_id) as landed
        full outer join (
            select order_id, {FACT_SUMS} from {scope.place(SALES)} as facts group by order_id
        ) as facts on landed.order_id = facts.order_id
        where {DIFFERS}
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
        compares_history=True,
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
