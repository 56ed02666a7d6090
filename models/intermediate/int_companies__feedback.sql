-- One row a company: its feedback in the windows that end at `as_of`, and when the next one counts.
-- Touched companies are counted anew; all of them on a new day, and when the scoring has changed.
{{
    config(
        unique_key='company_id',
        claims_loads=false,
        pre_hook="{{ take_touched_companies(ref('fct_feedback'), ref('dim_company')) }}",
        indexes=indexed([['company_id']])
    )
}}
{%- set touched_only = counts_touched_only(
    ref('fct_feedback'), ref('int_health_score__configuration'), ref('dim_company')
) %}

with configuration as (
    select * from {{ ref('int_health_score__configuration') }}
),

scores as (
    select * from {{ ref('sentiment_scores') }}
),

moments as (
    select cast({{ as_of_day() }} as timestamp) as day_start
),

windows as (
    select
        configuration.config_version,
        {{ days_before('moments.day_start', 'configuration.sentiment_days') }} as sentiment_start,
        {{ days_before('moments.day_start', 'configuration.engagement_days') }} as engagement_start,
        {{ days_before('moments.day_start', 'configuration.recency_days') }} as recency_start
    from configuration
    cross join moments
),

companies as (
    {{ companies_to_count(ref('dim_company'), touched_only) }}
),

-- Only what is in a window, or yet to come, is looked up, counted and told apart.
events as (
    select
        feedback.company_id,
        feedback.user_id,
        scores.sentiment_score,
        case when feedback.created_at <= {{ as_of() }} then feedback.created_at end
            as last_event_at,
        case when feedback.created_at > {{ as_of() }} then feedback.created_at end
            as next_count_at,
        feedback.created_at between
        (select windows.sentiment_start from windows) and {{ as_of() }} as is_in_sentiment,
        feedback.created_at between
        (select windows.engagement_start from windows) and {{ as_of() }} as is_in_engagement,
        feedback.created_at > (select windows.recency_start from windows)
        and feedback.created_at <= {{ as_of() }} as is_recent
    from (select * from {{ ref('fct_feedback') }}) as feedback
    inner join scores on feedback.sentiment = scores.sentiment
    where
        {{ only_touched('feedback.company_id', touched(), 'company_id', touched_only) }}
        and feedback.created_at
        >= (
            select least(windows.sentiment_start, windows.engagement_start, windows.recency_start)
            from windows
        )
),

-- Each user once a company: counting these is cheaper than counting distinct ones among events.
users as (
    select
        company_id,
        user_id,
        count(case when is_in_sentiment then 1 end) as scored_event_count,
        sum(case when is_in_sentiment then sentiment_score end) as sentiment_total,
        count(case when is_in_engagement then 1 end) as event_count,
        count(case when is_recent then 1 end) as recent_event_count,
        max(last_event_at) as last_event_at,
        min(next_count_at) as next_count_at
    from events
    group by company_id, user_id
),

totals as (
    select
        company_id,
        sum(scored_event_count) as scored_event_count,
        sum(sentiment_total) as sentiment_total,
        sum(event_count) as event_count,
        sum(recent_event_count) as recent_event_count,
        count(case when event_count > 0 then user_id end) as engaged_users,
        max(last_event_at) as last_event_at,
        min(next_count_at) as next_count_at
    from users
    group by company_id
),

-- Whoever has an event in a window had the last one there; the others' is looked up. Not through a
-- CTE of all feedback: what is read twice would be written down first.
final as (
    select
        companies.company_id,
        cast(coalesce(totals.event_count, 0) as bigint) as event_count,
        cast(coalesce(totals.scored_event_count, 0) as bigint) as scored_event_count,
        cast(coalesce(totals.sentiment_total, 0) as bigint) as sentiment_total,
        cast(coalesce(totals.recent_event_count, 0) as bigint) as recent_event_count,
        cast(coalesce(totals.engaged_users, 0) as bigint) as engaged_users,
        coalesce(totals.last_event_at, (
            select max(every_feedback.created_at)
            from (select * from {{ ref('fct_feedback') }}) as every_feedback
            where
                every_feedback.company_id
                = case when totals.last_event_at is null then companies.company_id end
                and every_feedback.created_at <= {{ as_of() }}
        )) as last_event_at,
        totals.next_count_at,
        {{ as_of() }} as counted_at,
        windows.config_version
    from companies
    cross join windows
    left join totals on companies.company_id = totals.company_id
)

select * from final
