{#- Fails on a period that is empty or runs into the next one of the same key. -#}
{% test no_overlapping_periods(model, key, valid_from, valid_to) %}

with periods as (
    select
        {{ key }} as period_key,
        {{ valid_from }} as starts_at,
        {{ valid_to }} as ends_at,
        lead({{ valid_from }}) over (
            partition by {{ key }}
            order by {{ valid_from }}
        ) as next_starts_at
    from {{ model }}
)

select * from periods
where
    ends_at <= starts_at
    or (next_starts_at is not null and (ends_at is null or ends_at > next_starts_at))

{% endtest %}
