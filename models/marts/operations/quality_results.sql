-- One row a rule and verdict, of dbt tests and expectations alike, for as long as the verdict
-- lasts.
with quality_results as (
    select * from {{ ref('stg_ledger__quality_results') }}
),

final as (
    select
        {{ hash_key(['suite', 'rule', timestamp_text('since')]) }} as quality_result_key,
        suite,
        rule,
        since,
        table_name,
        column_name,
        status,
        failing_count,
        observed,
        run_id,
        checked_at,
        check_count
    from quality_results
)

select * from final
