-- What: every id of the raw log has a row in the fact table, and every row an id in the raw log.
-- When it matters: otherwise tickets were lost or invented, and health scores with them.
-- How to resolve: `dbt build --full-refresh -s +fct_support_tickets`,
--   then look for what the run before did.
with landed as (
    select distinct ticket_id from {{ ref('stg_support__tickets') }}
    where
        {{ claimed_by(ref('fct_support_tickets')) }}
        and {{ is_changed('ticket_id', ref('fct_support_tickets')) }}
),

facts as (
    select ticket_id from {{ changed_rows(ref('fct_support_tickets')) }}
)

select
    landed.ticket_id as landed_id,
    facts.ticket_id as fact_id
from landed
full outer join facts on landed.ticket_id = facts.ticket_id
where landed.ticket_id is null or facts.ticket_id is null
