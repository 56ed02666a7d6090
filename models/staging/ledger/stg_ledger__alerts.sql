-- One row a message sent or to be sent.
with alerts as (
    select * from {{ source('ledger', 'alerts') }}
),

final as (
    select
        -- ids
        alert_id,

        -- texts
        root_cause,
        kind,
        channel,
        message,
        error,

        -- numbers
        attempts,

        -- times
        {{ to_utc('created_at') }} as created_at,
        {{ to_utc('delivered_at') }} as delivered_at
    from alerts
)

select * from final
