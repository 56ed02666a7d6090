{#-
    Latest version of every key that the claimed loads touch: their rows and the row that the model
    holds already. A row that stays as it is is left out, so that nothing is written for a stale or
    repeated version. Repeats of a row (a crash can load a file twice) collapse here.
-#}
{% macro current_state(relation, key, columns) %}
    {%- set names = [key] + columns + ['is_deleted', 'updated_at', '_received_at', '_row_hash', '_dlt_load_id'] -%}
with claimed_versions as (
    select
        {{ names | join(',\n        ') }}
    from {{ relation }}
    where {{ claimed() }}
),

versions as (
    select
        {{ names | join(',\n        ') }},
        true as is_new
    from claimed_versions
    {%- if adds_to_existing_rows() %}
    union all
    select
        {{ names | join(',\n        ') }},
        false as is_new
    from {{ this }}
    where {{ is_row_among(this, 'claimed_versions', key) }}
    {%- endif %}
),

ranked as (
    select
        {{ names | join(',\n        ') }},
        is_new,
        row_number() over (
            partition by {{ key }}
            order by {{ version_order() }}, is_new
        ) as version_rank
    from versions
)

select
    {{ names | join(',\n    ') }}
from ranked
where version_rank = 1 and is_new
{{ clustered_by(key) }}
{% endmacro %}


{#- Latest version first. The hash decides between versions of one moment, the load between repeats. -#}
{% macro version_order(relation=none, updated_at='updated_at') -%}
    {%- set terms = [] -%}
    {%- for column in [updated_at, '_received_at', '_row_hash', 'is_deleted', '_dlt_load_id'] -%}
        {%- do terms.append((relation ~ '.' if relation else '') ~ column ~ ' desc') -%}
    {%- endfor -%}
    {{ terms | join(', ') }}
{%- endmacro %}


{#- Continues a select with the model's own rows whose key is in `touched`; nothing on a first build. -#}
{% macro union_existing(touched, key, columns) -%}
    {%- if adds_to_existing_rows() -%}
    union all
    select
        {{ columns | join(',\n        ') }}
    from {{ this }}
    where {{ is_row_among(this, touched, key) }}
    {%- endif -%}
{%- endmacro %}


{#-
    Pre-hook of an incremental model: puts the keys whose rows it writes anew into `touched()`, before
    the model is planned. The engine then knows how many they are; it would guess from all of raw.
-#}
{% macro note_touched(query) -%}
    {%- if adds_to_existing_rows() -%}
    {{ temporary_table_sql(touched(), query) }}
    {%- endif -%}
{%- endmacro %}


{#- Select of what `note_touched` put down; a first build, which notes nothing, asks for it itself. -#}
{% macro noted_touched(query) -%}
    {%- if adds_to_existing_rows() -%}
    select * from {{ touched() }}
    {%- else -%}
    {{ query }}
    {%- endif -%}
{%- endmacro %}


{#- Name of the temporary table of touched keys; there in an incremental run only. -#}
{% macro touched() -%}
    touched_by_{{ model.name }}
{%- endmacro %}


{#-
    Condition that restricts an incremental run to the touched keys; a first build takes them all. A model
    that may take them all in an incremental run too says whether it is restricted.
-#}
{% macro only_touched(column, touched, key, is_restricted=none) -%}
    {%- if (adds_to_existing_rows() if is_restricted is none else is_restricted) -%}
    {{ is_among(column, touched, key) }}
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}


{#- `only_touched` by what was noted, for a select from one table (see `is_row_among`). -#}
{% macro only_touched_rows(relation, key) -%}
    {%- if adds_to_existing_rows() -%}
    {{ is_row_among(relation, touched(), key) }}
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}


{#- Select of the model's own rows (column names with their types); no row on its first build. -#}
{% macro stored_rows(columns) -%}
    select
    {%- for name, data_type in columns.items() %}
        {%- if adds_to_existing_rows() %}
        {{ name }}
        {%- else %}
        cast(null as {{ data_type }}) as {{ name }}
        {%- endif %}{{ ',' if not loop.last }}
    {%- endfor %}
    {% if adds_to_existing_rows() %}from {{ this }}{% else %}where 1 = 0{% endif %}
{%- endmacro %}
