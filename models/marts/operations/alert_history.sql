-- One row a message and channel about a root cause: a problem, that it keeps coming and going,
-- or the recovery.
with alerts as (
    select * from {{ ref('stg_ledger__alerts') }}
),

final as (
    select
        alert_id,
        root_cause,
        kind,
        channel,
        message,
        created_at,
        delivered_at,
        attempts,
        error
    from alerts
)

select * from final
