-- One row a message of the user event topic, as landed.
with messages as (
    select * from {{ source('events', 'user_events') }}
),

final as (
    select
        -- ids
        id as event_id,
        user_id,
        company_id,

        -- texts
        {{ clean_text('type') }} as event_type,
        {{ clean_currency('currency') }} as currency,
        properties,

        -- numbers
        cast(amount as numeric(18, 6)) as amount,

        -- times
        {{ to_utc('occurred_at') }} as occurred_at,
        {{ to_utc('_received_at') }} as _received_at,

        -- lineage
        _topic as topic,
        cast(_partition as bigint) as topic_partition,
        cast(_offset as bigint) as topic_offset,
        _row_hash,
        _dlt_load_id
    from messages
)

select * from final
