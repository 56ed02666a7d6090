-- One row a version of the marts, published or rejected.
with publications as (
    select * from {{ source('ledger', 'publications') }}
),

final as (
    select
        -- ids
        version,
        run_id,

        -- texts
        status,
        audit,

        -- numbers
        duration_seconds,

        -- times
        {{ to_utc('as_of') }} as as_of,
        {{ to_utc('created_at') }} as created_at
    from publications
)

select * from final
