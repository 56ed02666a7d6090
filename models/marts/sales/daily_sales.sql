-- One row a day with an order that is not cancelled: orders, revenue and buyers.
with orders as (
    select * from {{ ref('int_orders__sales') }}
    where not is_cancelled
),

totals as (
    select
        order_date as sales_date,
        count(*) as order_count,
        cast(sum(net_amount) as numeric(28, 6)) as total_revenue,
        count(distinct customer_id) as unique_customers
    from orders
    group by order_date
),

final as (
    select
        sales_date,
        order_count,
        total_revenue,
        {{ exact_ratio('total_revenue', 'order_count') }} as average_order_value,
        unique_customers
    from totals
)

select * from final
