-- One row a health check of the pipeline: whether it is well, what was measured, since when,
-- and what to do.
with health_checks as (
    select * from {{ ref('stg_ledger__health_checks') }}
),

final as (
    select
        name,
        is_healthy,
        value,
        threshold,
        unit,
        since,
        root_cause,
        advice,
        checked_at
    from health_checks
)

select * from final
