-- One row an active company: what its users said and asked for in the windows that end at `as_of`.
{{ config(materialized='table') }}

with configuration as (
    select * from {{ ref('int_health_score__configuration') }}
),

companies as (
    select * from {{ ref('dim_company') }}
    where is_active and not is_deleted
),

feedback as (
    select * from {{ ref('int_companies__feedback') }}
),

tickets as (
    select * from {{ ref('int_companies__tickets') }}
),

final as (
    select
        companies.company_id,
        companies.account_id,
        companies.company_name,
        feedback.event_count,
        feedback.scored_event_count,
        feedback.recent_event_count,
        feedback.engaged_users,
        coalesce(
            {{ exact_ratio('feedback.sentiment_total', 'feedback.scored_event_count') }},
            configuration.sentiment_without_events
        ) as status_score,
        tickets.ticket_count,
        tickets.urgent_ticket_count,
        {{ exact_ratio(
            'tickets.resolution_microseconds', 'tickets.resolved_count * 3600000000'
        ) }} as avg_resolution_hours,
        feedback.last_event_at,
        {{ as_of() }} as calculated_at,
        configuration.config_version
    from companies
    cross join configuration
    left join feedback on companies.company_id = feedback.company_id
    left join tickets on companies.company_id = tickets.company_id
)

select * from final
