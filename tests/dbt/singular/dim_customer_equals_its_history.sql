-- What: every known customer has exactly one current period, with the attributes of dim_customer.
-- When it matters: a difference means that the history and the current state disagree on what came.
-- How to resolve: `dbt build --full-refresh -s +dim_customer +dim_customer_history`.
with known as (
    select * from {{ ref('dim_customer') }}
    where not is_unknown and not is_inferred
),

periods as (
    select
        customer_key,
        count(*) as period_count,
        min(full_name) as full_name,
        min(email) as email,
        min(segment) as segment,
        min(country) as country
    from {{ ref('dim_customer_history') }}
    where is_current
    group by customer_key
)

select
    known.customer_key as known_key,
    periods.customer_key as period_key,
    periods.period_count
from known
full outer join periods on known.customer_key = periods.customer_key
where
    known.customer_key is null
    or periods.customer_key is null
    or periods.period_count <> 1
    or known.full_name is distinct from periods.full_name
    or known.email is distinct from periods.email
    or known.segment is distinct from periods.segment
    or known.country is distinct from periods.country
