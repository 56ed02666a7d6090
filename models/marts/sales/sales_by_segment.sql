-- One row a customer segment: buyers, orders and revenue.
with buyers as (
    select * from {{ ref('dim_customer') }}
    where total_orders > 0
),

totals as (
    select
        coalesce(segment, 'unknown') as segment,
        cast(count(customer_id) as bigint) as customer_count,
        cast(sum(total_orders) as bigint) as order_count,
        cast(sum(lifetime_value) as numeric(28, 6)) as total_revenue
    from buyers
    group by coalesce(segment, 'unknown')
),

final as (
    select
        segment,
        customer_count,
        order_count,
        total_revenue,
        {{ exact_ratio('total_revenue', 'order_count') }} as average_order_value
    from totals
)

select * from final
