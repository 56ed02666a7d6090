-- One row an active company and component of its health score: the points, and why.
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

scored as (
    select
        valued.company_id,
        valued.component,
        valued.raw_value,
        valued.max_points,
        valued.scored_event_count,
        valued.calculated_at,
        cast(
            case
                when valued.component in ('sentiment', 'engagement')
                    then least(
                        {{ exact_product('valued.raw_value', 'valued.points_per_unit') }},
                        valued.max_points
                    )
                when valued.component = 'support' and valued.raw_value = 0 then valued.max_points
                when valued.component = 'recency' and valued.raw_value > 0 then valued.max_points
                else valued.points_otherwise
            end as numeric(28, 6)
        ) as points,
        cast({{ round_half_up('valued.raw_value') }} as text) as value_text,
        ' in ' || cast(valued.window_days as text) || ' days' as window_text
    from valued
),

final as (
    select
        company_id || ':' || component as company_health_component_key,
        company_id,
        component,
        raw_value,
        points,
        max_points,
        case
            when component = 'sentiment' and scored_event_count = 0
                then 'no feedback' || window_text || ': counted as ' || value_text
            when component = 'sentiment'
                then
                    'average sentiment ' || value_text || ' from '
                    || cast(scored_event_count as text) || ' feedback' || window_text
            when component = 'engagement' then value_text || ' feedback' || window_text
            when component = 'support' and raw_value = 1 then '1 urgent ticket' || window_text
            when component = 'support' then value_text || ' urgent tickets' || window_text
            when component = 'recency' then value_text || ' feedback' || window_text
        end as reason,
        calculated_at
    from scored
)

select * from final
