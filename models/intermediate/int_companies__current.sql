-- One row a company: its latest version, so that late and repeated versions never win.
{{
    config(
        unique_key='company_id',
        indexes=indexed([['company_id'], ['_dlt_load_id']])
    )
}}

with current_state as (
    {{
        current_state(
            ref('stg_crm__companies'),
            key='company_id',
            columns=[
                'account_id',
                'company_name',
                'domain',
                'industry',
                'country',
                'is_active',
                'created_at',
            ]
        )
    }}
),

final as (
    select
        company_id,
        account_id,
        company_name,
        domain,
        industry,
        country,
        is_active,
        created_at,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from current_state
)

select * from final
