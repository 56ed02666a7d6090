-- One row a day with an order that is not cancelled: orders, revenue and buyers.
with orders as (
    select * from {{ ref('int_orders__sales') }}
    where not is_cancelled
),

-- Each buyer once a day: counting these is cheaper than counting distinct ones among the orders.
buyers as (
    select
        order_date,
        customer_id,
        count(*) as order_count,
        sum(net_amount) as net_amount
    from orders
    group by order_date, customer_id
),

totals as (
    select
        order_date as sales_date,
        cast(sum(order_count) as bigint) as order_count,
        cast(sum(net_amount) as numeric(28, 6)) as total_revenue,
        count(customer_id) as unique_customers
    from buyers
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
