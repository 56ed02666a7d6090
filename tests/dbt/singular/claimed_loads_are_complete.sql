-- What: every load that an incremental model has claimed is a completed one.
-- When it matters: otherwise half-loaded packages are visible in current state and facts.
-- How to resolve: find out who wrote into load_claims or deleted from raw._dlt_loads; then a full
--   refresh of the models named here.
-- depends_on: {{ ref('fct_sales') }}, {{ ref('fct_feedback') }}, {{ ref('fct_support_tickets') }}
-- depends_on: {{ ref('fct_user_events') }}
select
    claims.model,
    claims.load_id
from {{ load_claims() }} as claims
left join {{ ref('stg_raw__loads') }} as loads on claims.load_id = loads.load_id
where loads.load_id is null
