-- One row a product that an order has ever named, whether the shop lists it or not.
-- Facts must not be ahead of it: depends_on {{ ref('int_order_items__current') }}
{{ config(incremental_strategy='append') }}

with named as (
    select distinct product_id from {{ ref('stg_commerce__order_items') }}
    where {{ claimed() }}
),

stored as (
    {{ stored_rows({'product_id': 'text'}) }}
),

final as (
    select named.product_id
    from named
    left join stored on named.product_id = stored.product_id
    where named.product_id is not null and stored.product_id is null
)

select * from final
