-- One row a run and entity synced: received = landed + duplicate + dead.
with sync_log as (
    select * from {{ ref('stg_ledger__sync_log') }}
),

final as (
    select
        {{ hash_key(['run_id', 'source', 'entity']) }} as sync_key,
        run_id,
        source,
        entity,
        mode,
        status,
        started_at,
        finished_at,
        duration_seconds,
        received,
        landed,
        duplicate,
        dead,
        deleted,
        cursor_before,
        cursor_after,
        error
    from sync_log
)

select * from final
