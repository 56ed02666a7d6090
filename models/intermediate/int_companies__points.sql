-- One row an active company and component of its health score: what is scored, and its points.
{{ config(materialized='ephemeral') }}

with activity as (
    select * from {{ ref('int_companies__activity') }}
),

components as (
    select * from {{ ref('health_score_components') }}
),

valued as (
    select
        activity.company_id,
        components.component,
        components.window_days,
        components.points_per_unit,
        components.max_points,
        components.points_otherwise,
        activity.scored_event_count,
        cast(
            case components.component
                when 'sentiment' then activity.status_score
                when 'engagement' then activity.event_count
                when 'support' then activity.urgent_ticket_count
                when 'recency' then activity.recent_event_count
            end as numeric(28, 6)
        ) as raw_value,
        activity.calculated_at
    from activity
    cross join components
),

final as (
    select
        company_id,
        component,
        window_days,
        raw_value,
        cast(
            case
                when component in ('sentiment', 'engagement')
                    then least({{ exact_product('raw_value', 'points_per_unit') }}, max_points)
                when component = 'support' and raw_value = 0 then max_points
                when component = 'recency' and raw_value > 0 then max_points
                else points_otherwise
            end as numeric(28, 6)
        ) as points,
        max_points,
        scored_event_count,
        calculated_at
    from valued
)

select * from final
