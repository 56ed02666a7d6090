-- What: dim_date holds every day of the calendar; outside it, days that facts name may stand alone.
-- When it matters: facts of a missing day fail their relationship test.
-- How to resolve: see macro day_spine and variables first_day and last_day.
select
    count(*) as day_count,
    min(calendar_date) as first_day,
    max(calendar_date) as last_day
from {{ ref('dim_date') }}
where not {{ outside_calendar('date_key') }}
having count(*) <> {{ days_between('min(calendar_date)', 'max(calendar_date)') }} + 1
