-- What: the companies of company_health_metrics are the active ones of dim_company.
-- When it matters: a company that is missing looks healthy, for nobody sees it.
-- How to resolve: a score below the lowest band of seed health_score_bands drops a company.
with active as (
    select company_id from {{ ref('dim_company') }}
    where is_active and not is_deleted
),

scored as (
    select company_id from {{ ref('company_health_metrics') }}
)

select
    active.company_id as active_id,
    scored.company_id as scored_id
from active
full outer join scored on active.company_id = scored.company_id
where active.company_id is null or scored.company_id is null
