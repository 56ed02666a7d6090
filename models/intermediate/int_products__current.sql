-- One row a product: its latest version, so that late and repeated versions never win.
{{
    config(
        unique_key='product_id',
        indexes=indexed([['product_id'], ['_dlt_load_id']])
    )
}}

with current_state as (
    {{
        current_state(
            ref('stg_commerce__products'),
            key='product_id',
            columns=[
                'sku',
                'product_name',
                'category',
                'brand',
                'list_price',
                'created_at',
            ]
        )
    }}
),

final as (
    select
        product_id,
        sku,
        product_name,
        category,
        brand,
        list_price,
        created_at,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from current_state
)

select * from final
