-- One row a run and dbt node.
with model_runs as (
    select * from {{ source('ledger', 'model_runs') }}
),

final as (
    select
        -- ids
        run_id,
        node,

        -- texts
        resource_type,
        status,
        message,

        -- numbers
        duration_seconds,
        row_count,

        -- times
        {{ to_utc('started_at') }} as started_at
    from model_runs
)

select * from final
