-- One row a UTC day that an order was ever placed on: orders, revenue and buyers as they are now.
-- Rows are replaced day by day (`unique_key`); a day that has lost its orders keeps a row of zeros.
{{
    config(
        unique_key='order_date',
        pre_hook="{{ note_touched(touched_days()) }}",
        indexes=indexed([['order_date']])
    )
}}

with orders as (
    select * from {{ ref('int_orders__sales') }}
    where not is_cancelled
),

touched_days as (
    {{ noted_touched(touched_days()) }}
),

-- Each buyer once a day: counting these is cheaper than counting distinct ones among the orders.
buyers as (
    select
        order_date,
        customer_id,
        count(*) as order_count,
        sum(net_amount) as net_amount
    from orders
    where {{ only_touched('order_date', touched(), 'order_date') }}
    group by order_date, customer_id
),

totals as (
    select
        order_date,
        sum(order_count) as order_count,
        sum(net_amount) as net_amount,
        count(customer_id) as customer_count
    from buyers
    group by order_date
),

final as (
    select
        touched_days.order_date,
        cast(coalesce(totals.order_count, 0) as bigint) as order_count,
        cast(coalesce(totals.net_amount, 0) as numeric(28, 6)) as net_amount,
        cast(coalesce(totals.customer_count, 0) as bigint) as customer_count
    from touched_days
    left join totals on touched_days.order_date = totals.order_date
)

select * from final
