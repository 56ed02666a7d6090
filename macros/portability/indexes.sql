{#- Index configuration of a model, one list of columns an index; engines without such indexes ignore it. -#}
{% macro indexed(columns_of_indexes) %}
    {% do return(adapter.dispatch('indexed', 'warehouse')(columns_of_indexes)) %}
{% endmacro %}

{% macro default__indexed(columns_of_indexes) %}
    {% do return([]) %}
{% endmacro %}

{% macro postgres__indexed(columns_of_indexes) %}
    {% set indexes = [] %}
    {% for columns in columns_of_indexes %}
        {% do indexes.append({'columns': columns}) %}
    {% endfor %}
    {% do return(indexes) %}
{% endmacro %}


{#- Statement that indexes a column of a raw table; nothing on engines that scan. -#}
{% macro raw_index_sql(schema, identifier, column) -%}
    {{ return(adapter.dispatch('raw_index_sql', 'warehouse')(schema, identifier, column)) }}
{%- endmacro %}

{% macro default__raw_index_sql(schema, identifier, column) -%}{%- endmacro %}

{% macro postgres__raw_index_sql(schema, identifier, column) -%}
    create index if not exists {{ raw_index_name(identifier, column) }} on {{ schema }}.{{ identifier }} ({{ column }});
{%- endmacro %}


{#- Names of the indexes in some schemas; `none` on engines that scan, which get none. -#}
{% macro existing_indexes(schemas) %}
    {% do return(adapter.dispatch('existing_indexes', 'warehouse')(schemas)) %}
{% endmacro %}

{% macro default__existing_indexes(schemas) %}
    {% do return(none) %}
{% endmacro %}

{% macro postgres__existing_indexes(schemas) %}
    {% set query %}
    select indexname from pg_indexes where schemaname in ('{{ schemas | join("', '") }}')
    {% endset %}
    {% do return(run_query(query).columns[0].values() | list) %}
{% endmacro %}


{#-
    Pre-hook of every incremental model: PostgreSQL cannot know how many rows are claimed, guesses few,
    and would join them row by row, which takes hours when they are many. A bitmap that does not fit into
    memory is no better: each row of it is compared with each key. For this transaction only.
-#}
{% macro plan_for_many_rows() -%}
    {{ return(adapter.dispatch('plan_for_many_rows', 'warehouse')()) }}
{%- endmacro %}

{% macro default__plan_for_many_rows() -%}{%- endmacro %}

{% macro postgres__plan_for_many_rows() -%}
    {%- if model.config.materialized == 'incremental' -%}
    set local enable_nestloop to off
    {%- if adds_to_existing_rows() -%}
    ; set local enable_seqscan to off
    ; set local enable_bitmapscan to off
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{#- Instead of it, where a run reads most of the rows in any case. -#}
{% macro plan_for_all_rows() -%}
    {{ return(adapter.dispatch('plan_for_all_rows', 'warehouse')()) }}
{%- endmacro %}

{% macro default__plan_for_all_rows() -%}{%- endmacro %}

{% macro postgres__plan_for_all_rows() -%}
    set local enable_nestloop to on;
    set local enable_seqscan to on;
    set local enable_bitmapscan to on;
{%- endmacro %}


{#- Before rows are replaced: how many there are is known by then, and few are looked up by index. -#}
{% macro plan_for_written_rows() -%}
    {{ return(adapter.dispatch('plan_for_written_rows', 'warehouse')()) }}
{%- endmacro %}

{% macro default__plan_for_written_rows() -%}{%- endmacro %}

{% macro postgres__plan_for_written_rows() -%}
    set local enable_nestloop to on;
{%- endmacro %}


{#- Post-hook of every incremental model: statistics of a table that grew much, so that its indexes are used. -#}
{% macro analyze_when_built() -%}
    {{ return(adapter.dispatch('analyze_when_built', 'warehouse')()) }}
{%- endmacro %}

{% macro default__analyze_when_built() -%}{%- endmacro %}

{% macro postgres__analyze_when_built() -%}
    {%- if model.config.materialized == 'incremental' -%}
    do $$
    begin
        if (
            select pg_relation_size(oid) / 8192 > 1.1 * relpages + 100
            from pg_class
            where oid = cast('{{ this.schema }}.{{ this.identifier }}' as regclass)
        ) then
            analyze {{ this }};
        end if;
    end
    $$
    {%- endif -%}
{%- endmacro %}
