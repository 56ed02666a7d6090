{#- Stage of a customer by whole days from the day of sign-up to the day of `as_of()`. -#}
{% macro lifecycle_stage(signup_date) -%}
    {%- set age = days_between(signup_date, as_of_day()) -%}
    case
        when {{ age }} < 7 then 'new'
        when {{ age }} < 30 then 'active'
        when {{ age }} < 90 then 'engaged'
        else 'dormant'
    end
{%- endmacro %}
