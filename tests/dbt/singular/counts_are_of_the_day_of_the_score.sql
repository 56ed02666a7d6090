-- What: what a company's score is counted from was counted on the day that the score is of.
-- When it matters: the score of a day would be that of other windows, and the history keep it.
-- How to resolve: build the counts with it: `warehouse build +company_health_metrics+ --as-of …`.
{{ config(tags=['inner']) }}

with activity as (
    select * from {{ ref('int_companies__activity') }}
),

counts as (
    select
        company_id,
        counted_at
    from {{ ref('int_companies__feedback') }}
    union all
    select
        company_id,
        counted_at
    from {{ ref('int_companies__tickets') }}
)

select
    activity.company_id,
    activity.calculated_at,
    counts.counted_at
from activity
inner join counts on activity.company_id = counts.company_id
where cast(activity.calculated_at as date) <> cast(counts.counted_at as date)
