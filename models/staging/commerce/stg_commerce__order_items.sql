-- One row an item of a version of an order, as landed.
with versions as (
    select * from {{ source('commerce', 'order_items') }}
),

final as (
    select
        -- ids
        {{ hash_key(['order_id', 'id']) }} as order_item_key,
        order_id,
        id as order_item_id,
        product_id,

        -- numbers
        quantity,
        unit_price,
        discount_amount,

        -- booleans
        coalesce(_is_deleted, false) as is_deleted,

        -- times
        {{ to_utc('order_updated_at') }} as order_updated_at,
        {{ to_utc('_received_at') }} as _received_at,

        -- lineage
        _row_hash,
        _dlt_load_id
    from versions
)

select * from final
