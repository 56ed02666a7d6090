-- What: every event id of the raw log has a row in the fact table, and every row an id there.
-- When it matters: otherwise events of users were lost or invented.
-- How to resolve: `dbt build --full-refresh -s +fct_user_events`,
--   then look for what the run before did.
with landed as (
    select distinct event_id from {{ ref('stg_events__user_events') }}
    where
        {{ claimed_by(ref('fct_user_events')) }}
        and {{ is_changed('event_id', ref('fct_user_events')) }}
),

facts as (
    select event_id from {{ changed_rows(ref('fct_user_events')) }}
)

select
    landed.event_id as landed_id,
    facts.event_id as fact_id
from landed
full outer join facts on landed.event_id = facts.event_id
where landed.event_id is null or facts.event_id is null
