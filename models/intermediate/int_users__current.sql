-- One row a user: its latest version, so that late and repeated versions never win.
{{
    config(
        unique_key='user_id',
        indexes=indexed([['user_id'], ['_dlt_load_id']])
    )
}}

with current_state as (
    {{
        current_state(
            ref('stg_crm__users'),
            key='user_id',
            columns=[
                'company_id',
                'email',
                'full_name',
                'user_role',
                'created_at',
            ]
        )
    }}
),

final as (
    select
        user_id,
        company_id,
        email,
        full_name,
        user_role,
        created_at,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from current_state
)

select * from final
