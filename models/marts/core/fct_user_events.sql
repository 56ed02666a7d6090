-- One row an event of the user event topic, however often it was sent: what a user did and when.
{{
    config(
        materialized='incremental',
        unique_key='event_id',
        pre_hook="{{ note_landed_keys('event_id', ref('stg_events__user_events')) }}",
        indexes=indexed([['event_id'], ['company_id'], ['date_key']])
    )
}}

{%- set columns = [
    'event_id', 'user_id', 'company_id', 'event_type', 'amount', 'currency', 'properties',
    'occurred_at', 'topic', 'topic_partition', 'topic_offset', '_received_at', '_row_hash',
    '_dlt_load_id',
] %}

with messages as (
    select
        {{ columns | join(',\n        ') }}
    from {{ ref('stg_events__user_events') }}
    where {{ claimed() }}
),

sendings as (
    select
        {{ columns | join(',\n        ') }}
    from messages
    {{ union_existing('messages', 'event_id', columns) }}
),

-- What the message says decides, then where it lay: never when it arrived.
ranked as (
    select
        {{ columns | join(',\n        ') }},
        row_number() over (
            partition by event_id
            order by
                occurred_at desc, _row_hash desc, topic asc nulls last, topic_partition asc,
                topic_offset asc, _received_at asc, _dlt_load_id asc
        ) as sending_rank
    from sendings
),

final as (
    select
        event_id,
        user_id,
        company_id,
        {{ hash_key(['company_id']) }} as company_key,
        {{ date_key('occurred_at') }} as date_key,
        event_type,
        amount,
        currency,
        properties,
        occurred_at,
        topic,
        topic_partition,
        topic_offset,
        _received_at,
        _row_hash,
        _dlt_load_id
    from ranked
    where sending_rank = 1
)

select * from final
