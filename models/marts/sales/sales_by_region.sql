-- One row a country that orders are shipped to, as the source spells it: buyers and revenue.
with orders as (
    select * from {{ ref('int_orders__sales') }}
    where not is_cancelled
),

-- Each buyer once: counting these is cheaper than counting distinct ones among the orders.
buyers as (
    select
        coalesce(shipping_country, 'Unknown') as country,
        customer_id,
        sum(net_amount) as net_amount
    from orders
    group by coalesce(shipping_country, 'Unknown'), customer_id
),

final as (
    select
        country,
        count(customer_id) as customer_count,
        cast(sum(net_amount) as numeric(28, 6)) as total_revenue
    from buyers
    group by country
)

select * from final
