{#- Condition: the day (YYYY-MM-DD) is none of `first_day` to `last_day`. -#}
{% macro outside_calendar(date_key) -%}
    ({{ date_key }} < '{{ var("first_day") }}' or {{ date_key }} > '{{ var("last_day") }}')
{%- endmacro %}
