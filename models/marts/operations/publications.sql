-- One row a version of the marts: published, so that readers see it until the next, or
-- rejected, and why.
with publications as (
    select * from {{ ref('stg_ledger__publications') }}
),

final as (
    select
        version,
        run_id,
        status,
        audit,
        as_of,
        created_at,
        duration_seconds
    from publications
)

select * from final
