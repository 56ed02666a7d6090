-- One row a day from `first_day` to `last_day`, and a fact's day outside them: a wrong date is no
-- reason to lose a fact. Holidays are those of `holiday_country`. A run writes the days that differ
-- from what is there: none, nearly always, so that there is nothing to test and to publish.
{{
    config(
        materialized='incremental',
        unique_key='date_key',
        claims_loads=false,
        indexes=indexed([['date_key']])
    )
}}

with spine as (
    {{ day_spine(var('first_day'), var('last_day')) }}
),

odd_days as (
    select calendar_date from {{ ref('int_days__seen') }}
    where {{ outside_calendar(date_key('calendar_date')) }}
),

days as (
    select spine.day from spine
    union all
    select odd_days.calendar_date as day
    from odd_days
),

holidays as (
    select * from {{ ref('holidays') }}
    where country_code = '{{ var("holiday_country") }}'
),

numbered as (
    select
        days.day,
        {{ iso_weekday('days.day') }} as day_of_week_number
    from days
),

final as (
    select
        {{ date_key('numbered.day') }} as date_key,
        numbered.day as calendar_date,
        cast(extract(year from numbered.day) as bigint) as year,
        cast(extract(quarter from numbered.day) as bigint) as quarter,
        cast(extract(month from numbered.day) as bigint) as month,
        cast(extract(day from numbered.day) as bigint) as day_of_month,
        numbered.day_of_week_number,
        case numbered.day_of_week_number
            when 1 then 'Monday'
            when 2 then 'Tuesday'
            when 3 then 'Wednesday'
            when 4 then 'Thursday'
            when 5 then 'Friday'
            when 6 then 'Saturday'
            when 7 then 'Sunday'
        end as day_of_week,
        holidays.holiday_name,
        numbered.day_of_week_number >= 6 as is_weekend,
        holidays.holiday_date is not null as is_holiday
    from numbered
    left join holidays on numbered.day = holidays.holiday_date
)

select * from final
{%- if adds_to_existing_rows() %}
except
select
    date_key,
    calendar_date,
    year,
    quarter,
    month,
    day_of_month,
    day_of_week_number,
    day_of_week,
    holiday_name,
    is_weekend,
    is_holiday
from {{ this }}
{%- endif %}
