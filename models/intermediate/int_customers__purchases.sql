-- One row a customer (or none named) and country that orders are shipped to: what they bought.
-- Rows are replaced customer by customer (`unique_key`); who has no order left keeps a zero.
{{
    config(
        unique_key='customer_key',
        pre_hook="{{ note_touched(touched_orders()) }}",
        indexes=indexed([['customer_key']])
    )
}}

with orders as (
    select * from {{ ref('int_orders__sales') }}
),

-- An order may have changed hands: whoever any version names is touched, not the newest alone.
touched_customers as (
    select distinct customer_id from {{ ref('stg_commerce__orders') }}
    where
        {{ claimed_by(this) }}
        and {{ only_touched('order_id', touched(), 'order_id') }}
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
