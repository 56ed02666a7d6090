-- One row an account: its latest version, so that late and repeated versions never win.
{{
    config(
        unique_key='account_id',
        indexes=indexed([['account_id'], ['_dlt_load_id']])
    )
}}

with current_state as (
    {{
        current_state(
            ref('stg_crm__accounts'),
            key='account_id',
            columns=[
                'account_name',
                'plan',
                'created_at',
            ]
        )
    }}
),

final as (
    select
        account_id,
        account_name,
        plan,
        created_at,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from current_state
)

select * from final
