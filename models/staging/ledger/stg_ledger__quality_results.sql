-- One row a rule and verdict, for as long as the verdict lasts.
with quality_results as (
    select * from {{ source('ledger', 'quality_results') }}
),

final as (
    select
        -- ids
        suite,
        rule,
        run_id,

        -- texts
        table_name,
        column_name,
        status,
        observed,

        -- numbers
        failing_count,
        check_count,

        -- times
        {{ to_utc('since') }} as since,
        {{ to_utc('checked_at') }} as checked_at
    from quality_results
)

select * from final
