-- One row a run and dbt node: how it ended, how long it took, how many rows it wrote.
with model_runs as (
    select * from {{ ref('stg_ledger__model_runs') }}
),

final as (
    select
        {{ hash_key(['run_id', 'node']) }} as model_run_key,
        run_id,
        node,
        resource_type,
        status,
        started_at,
        duration_seconds,
        row_count,
        message
    from model_runs
)

select * from final
