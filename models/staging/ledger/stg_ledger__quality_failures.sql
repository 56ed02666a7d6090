-- One row a key that breaks a rule at its newest check.
with quality_failures as (
    select * from {{ source('ledger', 'quality_failures') }}
),

final as (
    select
        -- ids
        failure_id,
        suite,
        rule,
        run_id,

        -- texts
        table_name,
        failing_key,

        -- times
        {{ to_utc('checked_at') }} as checked_at
    from quality_failures
)

select * from final
