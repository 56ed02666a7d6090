-- One row a webhook event that carries no entity of the contracts, as landed.
with events as (
    select * from {{ source('events', 'webhook') }}
),

final as (
    select
        -- ids
        source as webhook_source,
        event_id,

        -- texts
        event_type,
        payload,

        -- times
        {{ to_utc('_received_at') }} as _received_at,

        -- lineage
        _dlt_load_id
    from events
)

select * from final
