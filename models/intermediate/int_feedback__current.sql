-- One row a piece of feedback: its latest version, so that late and repeated versions never win.
{{
    config(
        unique_key='feedback_id',
        indexes=indexed([['feedback_id'], ['_dlt_load_id']])
    )
}}

with current_state as (
    {{
        current_state(
            ref('stg_support__feedback'),
            key='feedback_id',
            columns=[
                'company_id',
                'user_id',
                'sentiment',
                'channel',
                'body',
                'created_at',
            ]
        )
    }}
),

final as (
    select
        feedback_id,
        company_id,
        user_id,
        sentiment,
        channel,
        body,
        created_at,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from current_state
)

select * from final
