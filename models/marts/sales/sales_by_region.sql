-- One row a country that orders are shipped to, as the source spells it: buyers and revenue.
with orders as (
    select * from {{ ref('int_orders__sales') }}
    where not is_cancelled
),

final as (
    select
        coalesce(shipping_country, 'Unknown') as country,
        count(distinct customer_id) as customer_count,
        cast(sum(net_amount) as numeric(28, 6)) as total_revenue
    from orders
    group by coalesce(shipping_country, 'Unknown')
)

select * from final
