-- One row a customer: its latest version, so that late and repeated versions never win.
{{
    config(
        unique_key='customer_id',
        indexes=indexed([['customer_id'], ['_dlt_load_id']])
    )
}}

with current_state as (
    {{
        current_state(
            ref('stg_commerce__customers'),
            key='customer_id',
            columns=[
                'company_id',
                'full_name',
                'email',
                'phone',
                'segment',
                'street',
                'city',
                'state',
                'country',
                'zip_code',
                'has_unparsable_signup_date',
                'signup_date',
                'created_at',
            ]
        )
    }}
),

final as (
    select
        customer_id,
        company_id,
        full_name,
        email,
        phone,
        segment,
        street,
        city,
        state,
        country,
        zip_code,
        has_unparsable_signup_date,
        signup_date,
        created_at,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from current_state
)

select * from final
