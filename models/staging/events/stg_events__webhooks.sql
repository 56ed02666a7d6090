-- One row a webhook event that carries no entity of the contracts, however often it landed.
with events as (
    select * from {{ source('events', 'webhook') }}
),

loads as (
    select * from {{ ref('stg_raw__loads') }}
),

renamed as (
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
),

-- No model claims loads of this table: half a load, or a file that a crash loaded twice, ends here.
ranked as (
    select
        *,
        row_number() over (
            partition by webhook_source, event_id
            order by _received_at, _dlt_load_id
        ) as landing_rank
    from renamed
    where _dlt_load_id in (select loads.load_id from loads)
),

final as (
    select
        webhook_source,
        event_id,
        event_type,
        payload,
        _received_at,
        _dlt_load_id
    from ranked
    where landing_rank = 1
)

select * from final
