-- One row an order: its latest version, so that late and repeated versions never win.
{{
    config(
        unique_key='order_id',
        indexes=indexed([['order_id'], ['customer_id'], ['_dlt_load_id']])
    )
}}

with current_state as (
    {{
        current_state(
            ref('stg_commerce__orders'),
            key='order_id',
            columns=[
                'customer_id',
                'order_status',
                'currency',
                'shipping_street',
                'shipping_city',
                'shipping_state',
                'shipping_country',
                'shipping_zip_code',
                'is_cancelled',
                'ordered_at',
            ]
        )
    }}
),

final as (
    select
        order_id,
        customer_id,
        order_status,
        currency,
        shipping_street,
        shipping_city,
        shipping_state,
        shipping_country,
        shipping_zip_code,
        is_cancelled,
        ordered_at,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from current_state
)

select * from final
