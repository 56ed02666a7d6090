-- One row a company: its tickets of the window that ends at `as_of`, and when the next one counts.
-- Touched companies are counted anew; all of them on a new day, and when the scoring has changed.
{{
    config(
        unique_key='company_id',
        claims_loads=false,
        pre_hook="{{ take_touched_companies(ref('fct_support_tickets'), ref('dim_company')) }}",
        indexes=indexed([['company_id']])
    )
}}
{%- set touched_only = counts_touched_only(
    ref('fct_support_tickets'), ref('int_health_score__configuration'), ref('dim_company')
) %}

with configuration as (
    select * from {{ ref('int_health_score__configuration') }}
),

moments as (
    select cast({{ as_of_day() }} as timestamp) as day_start
),

windows as (
    select
        configuration.config_version,
        {{ days_before('moments.day_start', 'configuration.support_days') }} as support_start
    from configuration
    cross join moments
),

companies as (
    {{ companies_to_count(ref('dim_company'), touched_only) }}
),

-- A ticket is counted once it is opened, and its resolution once it is resolved: a resolution
-- before the opening (sources write year 2 or 1970 for none) took no time that could be averaged.
tickets as (
    select
        tickets.company_id,
        tickets.opened_at <= {{ as_of() }} as is_opened,
        tickets.priority = 'urgent' as is_urgent,
        case
            when tickets.resolved_at between tickets.opened_at and {{ as_of() }}
                then {{ microseconds_between('tickets.opened_at', 'tickets.resolved_at') }}
        end as resolution_microseconds,
        case
            when tickets.opened_at > {{ as_of() }} then tickets.opened_at
            when tickets.resolved_at > {{ as_of() }} then tickets.resolved_at
        end as next_count_at
    from (select * from {{ ref('fct_support_tickets') }}) as tickets
    where
        {{ only_touched('tickets.company_id', touched(), 'company_id', touched_only) }}
        and tickets.opened_at >= (select windows.support_start from windows)
),

totals as (
    select
        company_id,
        sum(case when is_opened then 1 else 0 end) as ticket_count,
        sum(case when is_opened and is_urgent then 1 else 0 end) as urgent_ticket_count,
        count(resolution_microseconds) as resolved_count,
        sum(resolution_microseconds) as resolution_microseconds,
        min(next_count_at) as next_count_at
    from tickets
    group by company_id
),

final as (
    select
        companies.company_id,
        cast(coalesce(totals.ticket_count, 0) as bigint) as ticket_count,
        cast(coalesce(totals.urgent_ticket_count, 0) as bigint) as urgent_ticket_count,
        cast(coalesce(totals.resolved_count, 0) as bigint) as resolved_count,
        cast(coalesce(totals.resolution_microseconds, 0) as bigint) as resolution_microseconds,
        totals.next_count_at,
        {{ as_of() }} as counted_at,
        windows.config_version
    from companies
    cross join windows
    left join totals on companies.company_id = totals.company_id
)

select * from final
