{#- Zoned time to UTC without zone: after staging every `_at` is such a timestamp. -#}
{% macro to_utc(column) -%}
    {{ return(adapter.dispatch('to_utc', 'warehouse')(column)) }}
{%- endmacro %}

{% macro default__to_utc(column) -%}
    timezone('UTC', {{ column }})
{%- endmacro %}

{#- `timezone` looks up the rules of a zone for each row, and takes thirty times as long. -#}
{% macro duckdb__to_utc(column) -%}
    make_timestamp(epoch_us({{ column }}))
{%- endmacro %}


{#- A Python datetime as a timestamp in UTC. -#}
{% macro timestamp_literal(moment) -%}
    {%- set utc = moment.astimezone(modules.pytz.utc) if moment.tzinfo else moment -%}
    cast('{{ utc.strftime("%Y-%m-%d %H:%M:%S.%f") }}' as timestamp)
{%- endmacro %}


{#- The moment that models call now: variable `as_of`, else when the run started. -#}
{% macro as_of() -%}
    {%- set given = var('as_of') -%}
    {%- set moment = modules.datetime.datetime.fromisoformat(given) if given else run_started_at -%}
    {{ timestamp_literal(moment) }}
{%- endmacro %}


{#- The UTC day of `as_of()`, as a date. -#}
{% macro as_of_day() -%}
    cast({{ as_of() }} as date)
{%- endmacro %}


{#- Key of a day in dim_date: YYYY-MM-DD. -#}
{% macro date_key(column) -%}
    {{ return(adapter.dispatch('date_key', 'warehouse')(column)) }}
{%- endmacro %}

{% macro default__date_key(column) -%}
    strftime({{ column }}, '%Y-%m-%d')
{%- endmacro %}

{% macro postgres__date_key(column) -%}
    to_char({{ column }}, 'YYYY-MM-DD')
{%- endmacro %}


{#- A timestamp as text, to the microsecond, for hashing. -#}
{% macro timestamp_text(column) -%}
    {{ return(adapter.dispatch('timestamp_text', 'warehouse')(column)) }}
{%- endmacro %}

{% macro default__timestamp_text(column) -%}
    strftime({{ column }}, '%Y-%m-%d %H:%M:%S.%f')
{%- endmacro %}

{% macro postgres__timestamp_text(column) -%}
    to_char({{ column }}, 'YYYY-MM-DD HH24:MI:SS.US')
{%- endmacro %}


{#- Microseconds from one timestamp to another, as bigint. -#}
{% macro microseconds_between(start, end) -%}
    {{ return(adapter.dispatch('microseconds_between', 'warehouse')(start, end)) }}
{%- endmacro %}

{% macro default__microseconds_between(start, end) -%}
    (epoch_us({{ end }}) - epoch_us({{ start }}))
{%- endmacro %}

{% macro postgres__microseconds_between(start, end) -%}
    cast(extract(epoch from {{ end }} - {{ start }}) * 1000000 as bigint)
{%- endmacro %}


{#- Days from one date to another, as bigint. -#}
{% macro days_between(start, end) -%}
    cast({{ dbt.datediff(start, end, 'day') }} as bigint)
{%- endmacro %}


{#- A timestamp a number of days (a column or a literal) earlier. -#}
{% macro days_before(column, days) -%}
    {{ return(adapter.dispatch('days_before', 'warehouse')(column, days)) }}
{%- endmacro %}

{% macro default__days_before(column, days) -%}
    ({{ column }} - {{ days }} * interval '1 day')
{%- endmacro %}


{#- ISO number of a date's weekday: 1 is Monday, 7 is Sunday. -#}
{% macro iso_weekday(column) -%}
    {{ return(adapter.dispatch('iso_weekday', 'warehouse')(column)) }}
{%- endmacro %}

{% macro default__iso_weekday(column) -%}
    cast(extract(isodow from {{ column }}) as bigint)
{%- endmacro %}


{#- One row a day, column `day`, from the first to the last day inclusive. -#}
{% macro day_spine(first_day, last_day) -%}
    {{ return(adapter.dispatch('day_spine', 'warehouse')(first_day, last_day)) }}
{%- endmacro %}

{% macro default__day_spine(first_day, last_day) -%}
    select cast(spine.moment as date) as day
    from generate_series(
        cast('{{ first_day }}' as timestamp),
        cast('{{ last_day }}' as timestamp),
        interval '1 day'
    ) as spine (moment)
{%- endmacro %}
