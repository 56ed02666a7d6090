-- One row an order that holds an item: its facts summed, so that marts read fewer rows.
{{
    config(
        unique_key='order_id',
        pre_hook="{{ note_touched(touched_orders()) }}",
        post_hook="{{ delete_emptied_orders() }}",
        indexes=indexed([['order_id'], ['customer_key'], ['order_date']])
    )
}}

with sales as (
    select * from {{ ref('fct_sales') }}
    where {{ only_touched_rows(ref('fct_sales'), 'order_id') }}
),

orders as (
    select * from {{ ref('int_orders__current') }}
    where {{ only_touched_rows(ref('int_orders__current'), 'order_id') }}
),

summed as (
    select
        sales.order_id,
        count(*) as item_count,
        cast(sum(sales.quantity) as bigint) as quantity,
        cast(sum(sales.total_amount) as numeric(28, 6)) as total_amount,
        cast(sum(sales.discount_amount) as numeric(28, 6)) as discount_amount,
        cast(sum(sales.net_amount) as numeric(28, 6)) as net_amount
    from sales
    group by sales.order_id
),

final as (
    select
        summed.order_id,
        orders.customer_id,
        {{ hash_key(['orders.customer_id']) }} as customer_key,
        orders.shipping_country,
        orders.currency,
        orders.order_status,
        summed.item_count,
        summed.quantity,
        summed.total_amount,
        summed.discount_amount,
        summed.net_amount,
        orders.is_cancelled,
        orders.is_deleted,
        cast(orders.ordered_at as date) as order_date
    from summed
    inner join orders on summed.order_id = orders.order_id
)

select * from final
{{ clustered_by('order_id') }}
