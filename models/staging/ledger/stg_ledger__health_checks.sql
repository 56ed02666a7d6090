-- One row a health check.
with health_checks as (
    select * from {{ source('ledger', 'health_checks') }}
),

final as (
    select
        -- ids
        name,

        -- texts
        unit,
        root_cause,
        advice,

        -- numbers
        value,
        threshold,

        -- booleans
        is_healthy,

        -- times
        {{ to_utc('since') }} as since,
        {{ to_utc('checked_at') }} as checked_at
    from health_checks
)

select * from final
