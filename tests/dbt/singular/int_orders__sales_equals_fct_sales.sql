-- What: the order rollup holds every order of fct_sales, with the same sums, and no other.
-- When it matters: dimensions and marts read the rollup; a difference is wrong revenue.
-- How to resolve: `dbt build --full-refresh -s int_orders__sales+`.
with facts as (
    select
        order_id,
        count(*) as item_count,
        sum(net_amount) as net_amount,
        min(customer_key) as customer_key,
        max(customer_key) as last_customer_key
    from {{ changed_rows(ref('fct_sales')) }}
    group by order_id
),

rollup_rows as (
    select * from {{ ref('int_orders__sales') }}
    where {{ is_changed('order_id', ref('fct_sales')) }}
)

select
    facts.order_id as fact_order_id,
    rollup_rows.order_id as rollup_order_id,
    facts.net_amount as fact_net_amount,
    rollup_rows.net_amount as rollup_net_amount
from facts
full outer join rollup_rows on facts.order_id = rollup_rows.order_id
where
    facts.order_id is null
    or rollup_rows.order_id is null
    or facts.item_count <> rollup_rows.item_count
    or facts.net_amount <> rollup_rows.net_amount
    or facts.customer_key <> rollup_rows.customer_key
    or facts.last_customer_key <> rollup_rows.customer_key
