-- One row a key that breaks a rule at its newest check; every key, not a sample.
with quality_failures as (
    select * from {{ ref('stg_ledger__quality_failures') }}
),

final as (
    select
        failure_id,
        suite,
        rule,
        table_name,
        failing_key,
        run_id,
        checked_at
    from quality_failures
)

select * from final
