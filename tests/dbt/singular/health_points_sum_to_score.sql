-- What: a company has one row for each component, and their points sum to its score.
-- When it matters: the explanation of a score would not add up for those who read it.
-- How to resolve: see company_health_components; a component in the seed needs a rule there.
with components as (
    select count(*) as component_count from {{ ref('health_score_components') }}
),

explained as (
    select
        company_id,
        count(distinct component) as component_count,
        count(*) as row_count,
        sum(points) as points
    from {{ ref('company_health_components') }}
    group by company_id
)

select
    metrics.company_id,
    metrics.health_score,
    explained.points,
    explained.row_count
from {{ ref('company_health_metrics') }} as metrics
cross join components
left join explained on metrics.company_id = explained.company_id
where
    explained.company_id is null
    or explained.row_count <> components.component_count
    or explained.component_count <> components.component_count
    or metrics.health_score
    <> {{ round_half_up('least(greatest(explained.points, 0), 100)') }}
