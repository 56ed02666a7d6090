-- One row a run and entity synced.
with sync_log as (
    select * from {{ source('ledger', 'sync_log') }}
),

final as (
    select
        -- ids
        run_id,

        -- texts
        source,
        entity,
        mode,
        status,
        error,

        -- numbers
        duration_seconds,
        received,
        landed,
        duplicate,
        dead,
        deleted,

        -- times
        {{ to_utc('started_at') }} as started_at,
        {{ to_utc('finished_at') }} as finished_at,
        {{ to_utc('cursor_before') }} as cursor_before,
        {{ to_utc('cursor_after') }} as cursor_after
    from sync_log
)

select * from final
