-- One row: the scoring seeds side by side, with the version (hash) of their content.
{{ config(materialized='view') }}

with components as (
    select * from {{ ref('health_score_components') }}
),

bands as (
    select * from {{ ref('health_score_bands') }}
),

sentiments as (
    select * from {{ ref('sentiment_scores') }}
),

windows as (
    select
        max(case when component = 'sentiment' then window_days end) as sentiment_days,
        max(case when component = 'engagement' then window_days end) as engagement_days,
        max(case when component = 'support' then window_days end) as support_days,
        max(case when component = 'recency' then window_days end) as recency_days,
        cast(
            max(case when component = 'sentiment' then value_without_events end) as numeric(28, 6)
        ) as sentiment_without_events
    from components
),

lines as (
    select
        component || ',' || cast(window_days as text) || ',' || cast(points_per_unit as text)
        || ',' || cast(max_points as text) || ',' || cast(points_otherwise as text)
        || ',' || cast(value_without_events as text) as line
    from components
    union all
    select 'band,' || health_band || ',' || cast(min_score as text) as line
    from bands
    union all
    select 'sentiment,' || sentiment || ',' || cast(sentiment_score as text) as line
    from sentiments
),

versions as (
    select md5({{ dbt.listagg('line', "';'", 'order by line') }}) as config_version
    from lines
),

final as (
    select
        windows.sentiment_days,
        windows.engagement_days,
        windows.support_days,
        windows.recency_days,
        windows.sentiment_without_events,
        versions.config_version
    from windows
    cross join versions
)

select * from final
