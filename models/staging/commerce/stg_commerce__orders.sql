-- One row a version of an order, as landed; its items are in stg_commerce__order_items.
with versions as (
    select * from {{ source('commerce', 'orders') }}
),

final as (
    select
        -- ids
        id as order_id,
        customer_id,

        -- texts
        {{ clean_text('status') }} as order_status,
        {{ clean_currency('currency') }} as currency,
        {{ clean_text('shipping_address_street') }} as shipping_street,
        {{ clean_text('shipping_address_city') }} as shipping_city,
        {{ clean_text('shipping_address_state') }} as shipping_state,
        {{ clean_text('shipping_address_country') }} as shipping_country,
        {{ clean_text('shipping_address_zip_code') }} as shipping_zip_code,

        -- booleans
        coalesce(_is_deleted, false) as is_deleted,
        coalesce(lower({{ clean_text('status') }}) in ('cancelled', 'canceled'), false)
            as is_cancelled,

        -- times
        {{ to_utc('created_at') }} as ordered_at,
        {{ to_utc('updated_at') }} as updated_at,
        {{ to_utc('_received_at') }} as _received_at,

        -- lineage
        _row_hash,
        _dlt_load_id
    from versions
)

select * from final
