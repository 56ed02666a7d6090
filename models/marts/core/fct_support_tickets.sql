-- One row a support ticket: who asked, how urgent it is and how long it took.
{{
    config(
        materialized='incremental',
        unique_key='ticket_id',
        pre_hook=[
            "{{ note_landed_keys('ticket_id', ref('stg_support__tickets')) }}",
            "{{ note_touched_companies('ticket_id', ref('int_tickets__current')) }}",
        ],
        indexes=indexed([['ticket_id'], ['company_id']])
    )
}}

with tickets as (
    select * from {{ ref('int_tickets__current') }}
    where {{ claimed() }}
),

final as (
    select
        ticket_id,
        company_id,
        {{ hash_key(['company_id']) }} as company_key,
        user_id,
        {{ date_key('opened_at') }} as opened_date_key,
        {{ date_key('resolved_at') }} as resolved_date_key,
        priority,
        ticket_status,
        {{ exact_ratio(microseconds_between('opened_at', 'resolved_at'), 3600000000) }}
            as resolution_hours,
        is_resolved,
        is_deleted,
        opened_at,
        resolved_at,
        _dlt_load_id
    from tickets
)

select * from final
