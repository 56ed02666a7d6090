-- One row an active company and day: its score as first calculated that day, never rewritten.
{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        full_refresh=false,
        claims_loads=false,
        indexes=indexed([['company_health_history_key'], ['company_id', 'as_of_date']])
    )
}}

with metrics as (
    select
        company_id,
        health_score,
        health_band,
        calculated_at,
        cast(calculated_at as date) as as_of_date
    from {{ ref('company_health_metrics') }}
),

configuration as (
    select * from {{ ref('int_health_score__configuration') }}
),

stored as (
    {{ stored_rows({
        'company_id': 'text',
        'as_of_date': 'date',
        'health_score': 'bigint',
    }) }}
),

final as (
    select
        {{ hash_key(['metrics.company_id', 'metrics.as_of_date']) }} as company_health_history_key,
        metrics.company_id,
        metrics.as_of_date,
        metrics.health_score,
        metrics.health_band,
        metrics.health_score - week_ago.health_score as health_score_change_7d,
        metrics.health_score - month_ago.health_score as health_score_change_30d,
        configuration.config_version,
        metrics.calculated_at
    from metrics
    cross join configuration
    left join stored as same_day
        on
            metrics.company_id = same_day.company_id
            and metrics.as_of_date = same_day.as_of_date
    left join stored as week_ago
        on
            metrics.company_id = week_ago.company_id
            and {{ days_between('week_ago.as_of_date', 'metrics.as_of_date') }} = 7
    left join stored as month_ago
        on
            metrics.company_id = month_ago.company_id
            and {{ days_between('month_ago.as_of_date', 'metrics.as_of_date') }} = 30
    where same_day.company_id is null
)

select * from final
