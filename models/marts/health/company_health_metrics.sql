-- One row an active company: its health score as of `as_of`, and the activity behind it.
with activity as (
    select * from {{ ref('int_companies__activity') }}
),

components as (
    select * from {{ ref('company_health_components') }}
),

bands as (
    select
        health_band,
        min_score,
        lead(min_score) over (order by min_score) as next_min_score
    from {{ ref('health_score_bands') }}
),

scores as (
    select
        company_id,
        {{ round_half_up('least(greatest(sum(points), 0), 100)') }} as health_score
    from components
    group by company_id
),

final as (
    select
        activity.company_id,
        activity.account_id,
        activity.company_name,
        activity.event_count as event_count_90d,
        cast(activity.status_score as numeric(28, 6)) as status_score,
        activity.engaged_users,
        activity.ticket_count as support_tickets_30d,
        activity.avg_resolution_hours,
        activity.urgent_ticket_count as urgent_tickets_30d,
        activity.last_event_at,
        scores.health_score,
        bands.health_band,
        activity.calculated_at
    from activity
    inner join scores on activity.company_id = scores.company_id
    inner join bands
        on
            scores.health_score >= bands.min_score
            and scores.health_score < coalesce(bands.next_min_score, 101)
)

select * from final
