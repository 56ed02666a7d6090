-- One row a ticket: its latest version, so that late and repeated versions never win.
{{
    config(
        unique_key='ticket_id',
        indexes=indexed([['ticket_id'], ['_dlt_load_id']])
    )
}}

with current_state as (
    {{
        current_state(
            ref('stg_support__tickets'),
            key='ticket_id',
            columns=[
                'company_id',
                'user_id',
                'subject',
                'priority',
                'ticket_status',
                'is_resolved',
                'opened_at',
                'resolved_at',
            ]
        )
    }}
),

final as (
    select
        ticket_id,
        company_id,
        user_id,
        subject,
        priority,
        ticket_status,
        is_resolved,
        opened_at,
        resolved_at,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from current_state
)

select * from final
