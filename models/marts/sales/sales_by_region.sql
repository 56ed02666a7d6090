-- One row a country that orders are shipped to, as the source spells it: buyers and revenue.
with purchases as (
    select * from {{ ref('int_customers__purchases') }}
    where order_count > 0
),

final as (
    select
        country,
        count(customer_id) as customer_count,
        cast(sum(net_amount) as numeric(28, 6)) as total_revenue
    from purchases
    group by country
)

select * from final
