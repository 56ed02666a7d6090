-- One row an active company: what its users said and asked for in the windows that end at `as_of`.
-- Facts are compared with values, not joined with the windows: so engines filter while they read,
-- and on several cores.
{{ config(materialized='table') }}

with configuration as (
    select * from {{ ref('int_health_score__configuration') }}
),

moments as (
    select
        {{ as_of() }} as calculated_at,
        cast({{ as_of_day() }} as timestamp) as day_start
),

windows as (
    select
        configuration.config_version,
        configuration.sentiment_without_events,
        moments.calculated_at,
        {{ days_before('moments.day_start', 'configuration.sentiment_days') }} as sentiment_start,
        {{ days_before('moments.day_start', 'configuration.engagement_days') }} as engagement_start,
        {{ days_before('moments.day_start', 'configuration.support_days') }} as support_start,
        {{ days_before('moments.day_start', 'configuration.recency_days') }} as recency_start
    from configuration
    cross join moments
),

companies as (
    select * from {{ ref('dim_company') }}
    where is_active and not is_deleted
),

feedback as (
    select * from {{ ref('fct_feedback') }}
),

scores as (
    select * from {{ ref('sentiment_scores') }}
),

tickets as (
    select * from {{ ref('fct_support_tickets') }}
),

-- Looked up company by company where there is an index. Not through `feedback`: what is read twice
-- would be written down first.
last_events as (
    select
        companies.company_id,
        (
            select max(every_feedback.created_at)
            from {{ ref('fct_feedback') }} as every_feedback
            where
                every_feedback.company_id = companies.company_id
                and every_feedback.created_at <= {{ as_of() }}
        ) as last_event_at
    from companies
),

-- Only what is in a window is looked up, counted and told apart.
events as (
    select
        feedback.company_id,
        feedback.user_id,
        scores.sentiment_score,
        feedback.created_at >= (select windows.sentiment_start from windows) as is_in_sentiment,
        feedback.created_at >= (select windows.engagement_start from windows) as is_in_engagement,
        feedback.created_at > (select windows.recency_start from windows) as is_recent
    from feedback
    inner join scores on feedback.sentiment = scores.sentiment
    where
        feedback.created_at <= {{ as_of() }}
        and feedback.created_at
        >= (
            select least(windows.sentiment_start, windows.engagement_start, windows.recency_start)
            from windows
        )
),

event_totals as (
    select
        company_id,
        sum(case when is_in_sentiment then 1 else 0 end) as scored_event_count,
        sum(case when is_in_sentiment then sentiment_score else 0 end) as sentiment_total,
        sum(case when is_in_engagement then 1 else 0 end) as event_count,
        sum(case when is_recent then 1 else 0 end) as recent_event_count,
        count(distinct case when is_in_engagement then user_id end) as engaged_users
    from events
    group by company_id
),

recent_tickets as (
    select
        tickets.company_id,
        tickets.priority = 'urgent' as is_urgent,
        case
            when tickets.resolved_at <= {{ as_of() }}
                then {{ microseconds_between('tickets.opened_at', 'tickets.resolved_at') }}
        end as resolution_microseconds
    from tickets
    where
        tickets.opened_at >= (select windows.support_start from windows)
        and tickets.opened_at <= {{ as_of() }}
),

ticket_totals as (
    select
        company_id,
        count(*) as ticket_count,
        sum(case when is_urgent then 1 else 0 end) as urgent_ticket_count,
        count(resolution_microseconds) as resolved_count,
        cast(sum(resolution_microseconds) as bigint) as resolution_microseconds
    from recent_tickets
    group by company_id
),

final as (
    select
        companies.company_id,
        companies.account_id,
        companies.company_name,
        cast(coalesce(event_totals.event_count, 0) as bigint) as event_count,
        cast(coalesce(event_totals.scored_event_count, 0) as bigint) as scored_event_count,
        cast(coalesce(event_totals.recent_event_count, 0) as bigint) as recent_event_count,
        cast(coalesce(event_totals.engaged_users, 0) as bigint) as engaged_users,
        coalesce(
            {{ exact_ratio('event_totals.sentiment_total', 'event_totals.scored_event_count') }},
            windows.sentiment_without_events
        ) as status_score,
        cast(coalesce(ticket_totals.ticket_count, 0) as bigint) as ticket_count,
        cast(coalesce(ticket_totals.urgent_ticket_count, 0) as bigint) as urgent_ticket_count,
        {{ exact_ratio(
            'ticket_totals.resolution_microseconds', 'ticket_totals.resolved_count * 3600000000'
        ) }} as avg_resolution_hours,
        last_events.last_event_at,
        windows.calculated_at,
        windows.config_version
    from companies
    cross join windows
    left join event_totals on companies.company_id = event_totals.company_id
    left join last_events on companies.company_id = last_events.company_id
    left join ticket_totals on companies.company_id = ticket_totals.company_id
)

select * from final
