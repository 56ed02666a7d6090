-- One row a run of a command or a cycle.
with pipeline_runs as (
    select * from {{ source('ledger', 'pipeline_runs') }}
),

final as (
    select
        -- ids
        run_id,

        -- texts
        command,
        target,
        status,
        error,

        -- times
        {{ to_utc('started_at') }} as started_at,
        {{ to_utc('finished_at') }} as finished_at
    from pipeline_runs
)

select * from final
