-- What: every id of the raw log has a row in the fact table, and every row an id in the raw log.
-- When it matters: otherwise feedback were lost or invented, and health scores with them.
-- How to resolve: `dbt build --full-refresh -s +fct_feedback`,
--   then look for what the run before did.
with landed as (
    select distinct feedback_id from {{ ref('stg_support__feedback') }}
    where
        {{ claimed_by(ref('fct_feedback')) }}
        and {{ is_changed('feedback_id', ref('fct_feedback')) }}
),

facts as (
    select feedback_id from {{ changed_rows(ref('fct_feedback')) }}
)

select
    landed.feedback_id as landed_id,
    facts.feedback_id as fact_id
from landed
full outer join facts on landed.feedback_id = facts.feedback_id
where landed.feedback_id is null or facts.feedback_id is null
