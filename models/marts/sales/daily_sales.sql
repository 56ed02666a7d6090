-- One row a day with an order that is not cancelled: orders, revenue and buyers.
with days as (
    select * from {{ ref('int_days__sales') }}
    where order_count > 0
),

final as (
    select
        order_date as sales_date,
        order_count,
        net_amount as total_revenue,
        {{ exact_ratio('net_amount', 'order_count') }} as average_order_value,
        customer_count as unique_customers
    from days
)

select * from final
