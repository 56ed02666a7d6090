-- One row a currency of the user events of the UTC day of `as_of`; XXX where an event has none.
with events as (
    select
        user_id,
        event_type = 'purchase' as is_purchase,
        amount,
        coalesce(currency, 'XXX') as currency
    from {{ ref('fct_user_events') }}
    where date_key = {{ date_key(as_of_day()) }}
),

final as (
    select
        currency,
        {{ as_of_day() }} as metrics_date,
        cast(sum(case when is_purchase then 1 else 0 end) as bigint) as purchases,
        cast(sum(case when is_purchase then coalesce(amount, 0) else 0 end) as numeric(28, 6))
            as revenue,
        count(distinct user_id) as active_users,
        {{ as_of() }} as calculated_at
    from events
    group by currency
)

select * from final
