{#- Statements that put a query down for this transaction, so that the engine knows how many rows it has. -#}
{% macro temporary_table_sql(name, query) -%}
    {{ return(adapter.dispatch('temporary_table_sql', 'warehouse')(name, query)) }}
{%- endmacro %}

{% macro default__temporary_table_sql(name, query) -%}
    create or replace temporary table {{ name }} as
    {{ query }}
{%- endmacro %}

{% macro postgres__temporary_table_sql(name, query) -%}
    create temporary table {{ name }} on commit drop as
    {{ query }};
    analyze {{ name }}
{%- endmacro %}


{#-
    Ends a model: writes rows in the order of a column, so that engines which keep the least and greatest
    value of each block pass over blocks without a touched key, or outside of a window of time. Elsewhere
    there is an index.
-#}
{% macro clustered_by(column) -%}
    {{ return(adapter.dispatch('clustered_by', 'warehouse')(column)) }}
{%- endmacro %}

{% macro default__clustered_by(column) -%}
    order by {{ column }}
{%- endmacro %}

{% macro postgres__clustered_by(column) -%}{%- endmacro %}


{#-
    Condition: a column holds one of the keys of a table or CTE. PostgreSQL looks keys of an array up in
    an index, and would read the whole table for keys of a query of which it does not know the size.
-#}
{% macro is_among(column, keys, key) -%}
    {{ is_found_by(column, 'select ' ~ keys ~ '.' ~ key ~ ' from ' ~ keys) }}
{%- endmacro %}


{#- The same for keys that a query gives. -#}
{% macro is_found_by(column, query) -%}
    {{ return(adapter.dispatch('is_found_by', 'warehouse')(column, query)) }}
{%- endmacro %}

{% macro default__is_found_by(column, query) -%}
    {{ column }} in ({{ query }})
{%- endmacro %}

{% macro postgres__is_found_by(column, query) -%}
    {{ column }} = any(array({{ query }}))
{%- endmacro %}


{#-
    `is_among` for a select from one table that reads many of its columns. DuckDB decodes all of them for
    every row before it joins: it finds where rows lie by the key alone, and then reads those rows. What
    `--empty` and unit tests put in place of a table is a query, and has no rowid.
-#}
{% macro is_row_among(relation, keys, key) -%}
    {{ return(adapter.dispatch('is_row_among', 'warehouse')(relation, keys, key)) }}
{%- endmacro %}

{% macro default__is_row_among(relation, keys, key) -%}
    {{ is_among(key, keys, key) }}
{%- endmacro %}

{% macro duckdb__is_row_among(relation, keys, key) -%}
    {%- if relation.limit is not none or relation.is_cte -%}
    {{ is_among(key, keys, key) }}
    {%- else -%}
    rowid in (select rowid from {{ relation }} where {{ is_among(key, keys, key) }})
    {%- endif -%}
{%- endmacro %}
