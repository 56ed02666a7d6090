-- One row a piece of feedback: the event that the health score counts.
{{
    config(
        materialized='incremental',
        unique_key='feedback_id',
        pre_hook=[
            "{{ note_landed_keys('feedback_id', ref('stg_support__feedback')) }}",
            "{{ note_touched_companies('feedback_id', ref('int_feedback__current')) }}",
        ],
        indexes=indexed([['feedback_id'], ['company_id', 'created_at']])
    )
}}

with feedback as (
    select * from {{ ref('int_feedback__current') }}
    where {{ claimed() }}
),

final as (
    select
        feedback_id,
        company_id,
        {{ hash_key(['company_id']) }} as company_key,
        user_id,
        {{ date_key('created_at') }} as date_key,
        sentiment,
        channel,
        is_deleted,
        created_at,
        _dlt_load_id
    from feedback
)

select * from final
{{ clustered_by('created_at') }}
