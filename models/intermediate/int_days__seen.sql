-- One row a UTC day that a record of a fact has ever named, however odd.
-- Facts must not be ahead of it: depends_on {{ ref('int_orders__current') }}
-- {{ ref('fct_support_tickets') }} {{ ref('fct_feedback') }} {{ ref('fct_user_events') }}
{{ config(incremental_strategy='append') }}

with named as (
    select cast(ordered_at as date) as calendar_date from {{ ref('stg_commerce__orders') }}
    where {{ claimed() }}
    union
    select cast(opened_at as date) as calendar_date from {{ ref('stg_support__tickets') }}
    where {{ claimed() }}
    union
    select cast(resolved_at as date) as calendar_date from {{ ref('stg_support__tickets') }}
    where {{ claimed() }}
    union
    select cast(created_at as date) as calendar_date from {{ ref('stg_support__feedback') }}
    where {{ claimed() }}
    union
    select cast(occurred_at as date) as calendar_date from {{ ref('stg_events__user_events') }}
    where {{ claimed() }}
),

stored as (
    {{ stored_rows({'calendar_date': 'date'}) }}
),

final as (
    select named.calendar_date
    from named
    left join stored on named.calendar_date = stored.calendar_date
    where named.calendar_date is not null and stored.calendar_date is null
)

select * from final
