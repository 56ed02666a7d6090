-- One row a version of a product, as landed.
with versions as (
    select * from {{ source('commerce', 'products') }}
),

final as (
    select
        -- ids
        id as product_id,

        -- texts
        {{ clean_text('sku') }} as sku,
        {{ clean_text('name') }} as product_name,
        {{ clean_text('category') }} as category,
        {{ clean_text('brand') }} as brand,

        -- numbers
        unit_price as list_price,

        -- booleans
        coalesce(_is_deleted, false) as is_deleted,

        -- times
        {{ to_utc('created_at') }} as created_at,
        {{ to_utc('updated_at') }} as updated_at,
        {{ to_utc('_received_at') }} as _received_at,

        -- lineage
        _row_hash,
        _dlt_load_id
    from versions
)

select * from final
