-- One row an order item of the latest version of its order: what was sold to whom, where and when.
-- Rows are replaced order by order (`unique_key`), for an order's version decides on all its items.
{{
    config(
        materialized='incremental',
        unique_key='order_id',
        pre_hook=[
            "{{ note_landed_keys('order_id', ref('stg_commerce__orders')) }}",
            "{{ note_touched(touched_orders() ~ union_orders_of_moved_customers()) }}",
        ],
        post_hook="{{ delete_removed_items() }}",
        indexes=indexed([['order_id'], ['customer_key'], ['date_key']])
    )
}}

with items as (
    select * from {{ ref('int_order_items__current') }}
    where {{ only_touched_rows(ref('int_order_items__current'), 'order_id') }} and not is_removed
),

orders as (
    select * from {{ ref('int_orders__current') }}
    where {{ only_touched_rows(ref('int_orders__current'), 'order_id') }}
),

customers as (
    select * from {{ ref('int_customers__current') }}
),

priced as (
    select
        items.order_item_key,
        items.order_id,
        items.order_item_id,
        items.product_id,
        items.quantity,
        items.unit_price,
        coalesce(items.discount_amount, 0) as discount_amount,
        items._dlt_load_id,
        cast({{ exact_integer('items.quantity') }} * items.unit_price as numeric(28, 6))
            as total_amount
    from items
),

final as (
    select
        priced.order_item_key as sales_key,
        priced.order_id,
        priced.order_item_id,
        {{ date_key('orders.ordered_at') }} as date_key,
        {{ hash_key(['orders.customer_id']) }} as customer_key,
        {{ hash_key(['priced.product_id']) }} as product_key,
        {{ location_key('orders') }} as location_key,
        {{ hash_key(['customers.company_id']) }} as company_key,
        orders.currency,
        orders.order_status,
        priced.quantity,
        priced.unit_price,
        priced.total_amount,
        cast(priced.discount_amount as numeric(18, 6)) as discount_amount,
        cast(priced.total_amount - priced.discount_amount as numeric(28, 6)) as net_amount,
        orders.is_cancelled,
        orders.is_deleted,
        orders.ordered_at,
        priced._dlt_load_id,
        orders._dlt_load_id as _order_load_id
    from priced
    inner join orders on priced.order_id = orders.order_id
    left join customers on orders.customer_id = customers.customer_id
)

select * from final
{{ clustered_by('order_id') }}
