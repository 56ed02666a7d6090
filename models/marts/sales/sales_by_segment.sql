-- One row a customer segment: buyers, orders and revenue.
with orders as (
    select * from {{ ref('int_orders__sales') }}
    where not is_cancelled
),

customers as (
    select * from {{ ref('dim_customer') }}
),

totals as (
    select
        coalesce(customers.segment, 'unknown') as segment,
        count(distinct orders.customer_id) as customer_count,
        count(*) as order_count,
        cast(sum(orders.net_amount) as numeric(28, 6)) as total_revenue
    from orders
    left join customers on orders.customer_id = customers.customer_id
    group by coalesce(customers.segment, 'unknown')
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
