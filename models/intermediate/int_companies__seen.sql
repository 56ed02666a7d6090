-- One row a company that a record has ever named, whether the CRM knows it or not.
-- Facts must not be ahead of it: depends_on {{ ref('int_customers__current') }}
-- {{ ref('int_tickets__current') }} {{ ref('int_feedback__current') }} {{ ref('fct_user_events') }}
{{ config(incremental_strategy='append') }}

with named as (
    select company_id from {{ ref('stg_commerce__customers') }}
    where {{ claimed() }}
    union
    select company_id from {{ ref('stg_support__tickets') }}
    where {{ claimed() }}
    union
    select company_id from {{ ref('stg_support__feedback') }}
    where {{ claimed() }}
    union
    select company_id from {{ ref('stg_events__user_events') }}
    where {{ claimed() }}
),

stored as (
    {{ stored_rows({'company_id': 'text'}) }}
),

final as (
    select named.company_id
    from named
    left join stored on named.company_id = stored.company_id
    where named.company_id is not null and stored.company_id is null
)

select * from final
