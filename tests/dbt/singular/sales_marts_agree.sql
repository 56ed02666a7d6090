-- What: revenue by day, by region and by segment sum to the same total, that of the order rollup.
-- When it matters: a difference means that a mart drops orders, for one without a dimension row.
-- How to resolve: look for orders whose location_key or customer_key has no dimension row.
with totals as (
    select
        'orders' as mart,
        coalesce(sum(net_amount), 0) as revenue
    from {{ ref('int_orders__sales') }}
    where not is_cancelled
    union all
    select
        'day' as mart,
        coalesce(sum(total_revenue), 0) as revenue
    from {{ ref('daily_sales') }}
    union all
    select
        'region' as mart,
        coalesce(sum(total_revenue), 0) as revenue
    from {{ ref('sales_by_region') }}
    union all
    select
        'segment' as mart,
        coalesce(sum(total_revenue), 0) as revenue
    from {{ ref('sales_by_segment') }}
)

select
    min(revenue) as smallest_revenue,
    max(revenue) as largest_revenue
from totals
having min(revenue) <> max(revenue)
