-- One row a customer (or none named) and country that orders are shipped to: what they bought.
-- Rows are replaced customer by customer (`unique_key`); who has no order left keeps a zero.
{{
    config(
        unique_key='customer_key',
        pre_hook="{{ note_touched(versions_of_touched_orders('customer_id')) }}",
        indexes=indexed([['customer_key']])
    )
}}

with orders as (
    select * from {{ ref('int_orders__sales') }}
),

touched_customers as (
    {{ noted_touched(versions_of_touched_orders('customer_id')) }}
),

customers as (
    select
        customer_id,
        {{ hash_key(['customer_id']) }} as customer_key
    from touched_customers
),

purchases as (
    select
        customer_key,
        coalesce(shipping_country, 'Unknown') as country,
        sum(case when is_cancelled then 0 else 1 end) as order_count,
        sum(case when is_cancelled then 0 else net_amount end) as net_amount
    from orders
    where {{ only_touched('customer_key', 'customers', 'customer_key') }}
    group by customer_key, coalesce(shipping_country, 'Unknown')
),

final as (
    select
        customers.customer_key,
        customers.customer_id,
        purchases.country,
        cast(coalesce(purchases.order_count, 0) as bigint) as order_count,
        cast(coalesce(purchases.net_amount, 0) as numeric(28, 6)) as net_amount
    from customers
    left join purchases on customers.customer_key = purchases.customer_key
)

select * from final
