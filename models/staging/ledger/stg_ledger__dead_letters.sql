-- One row a refused record, without its bytes.
with dead_letters as (
    select * from {{ source('ledger', 'dead_letters') }}
),

final as (
    select
        -- ids
        dead_letter_id,
        event_id,
        record_id,

        -- texts
        way_in,
        source,
        entity,
        event_type,
        error,
        position,
        status,

        -- numbers
        replays,

        -- times
        {{ to_utc('first_seen_at') }} as first_seen_at,
        {{ to_utc('last_replayed_at') }} as last_replayed_at
    from dead_letters
)

select * from final
