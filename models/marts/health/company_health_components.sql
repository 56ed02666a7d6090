-- One row an active company and component of its health score: the points, and why.
with points as (
    select
        *,
        cast({{ round_half_up('raw_value') }} as text) as value_text,
        ' in ' || cast(window_days as text) || ' days' as window_text
    from {{ ref('int_companies__points') }}
),

final as (
    select
        {{ hash_key(['company_id', 'component']) }} as company_health_component_key,
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
                    'average sentiment ' || value_text || ' of '
                    || cast(scored_event_count as text) || ' feedback' || window_text
            when component = 'engagement' then value_text || ' feedback' || window_text
            when component = 'support' then value_text || ' urgent tickets' || window_text
            when component = 'recency' then value_text || ' feedback' || window_text
        end as reason,
        calculated_at
    from points
)

select * from final
