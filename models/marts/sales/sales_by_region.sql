-- One row a country that orders are shipped to, as the source spells it: buyers and revenue.
with orders as (
    select * from {{ ref('int_orders__sales') }}
    where not is_cancelled
),

locations as (
    select * from {{ ref('dim_location') }}
),

final as (
    select
        coalesce(locations.country, 'Unknown') as country,
        count(distinct orders.customer_id) as customer_count,
        cast(sum(orders.net_amount) as numeric(28, 6)) as total_revenue
    from orders
    inner join locations on orders.location_key = locations.location_key
    group by coalesce(locations.country, 'Unknown')
)

select * from final
