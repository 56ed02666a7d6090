{#-
    A build of what is downstream of news (var `only_changes`) tests the rows that may differ from what
    readers see: those of the keys that builds have noted since the last publication. All others were
    tested before they were published, and are again with every build of everything.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set rows = changed_rows(relation, load_column(mart_node(relation))) -%}
    {%- do return(rows if rows is string else adapter.dispatch('get_where_subquery', 'dbt')(relation)) -%}
{%- endmacro %}


{#-
    The rows of a mart by its noted keys; of them, with the column of their load, those that builds
    have written. Without it also a row whose key landed in a version that does not count.
-#}
{% macro changed_rows(relation, load_column=none) -%}
    {%- set column = changed_key(relation) -%}
    {%- if column is none -%}
        {%- do return(relation) -%}
    {%- endif -%}
    (
        select * from {{ relation }}
        where
            {{ is_found_by(column, noted_sql(relation, 'key_value')) }}
            {%- if load_column %}
            and {{ is_found_by(load_column, noted_sql(relation, 'load_id')) }}
            {%- endif %}
    ) as changed_rows
{%- endmacro %}


{#- Condition on rows of staging: their key is one that was noted of a mart. -#}
{% macro is_changed(column, relation) -%}
    {%- if changed_key(relation) is none -%}
    true
    {%- else -%}
    {{ is_found_by(column, noted_sql(relation, 'key_value')) }}
    {%- endif -%}
{%- endmacro %}


{#- Column by whose noted keys the changed rows of a mart are known; none: all of its rows count. -#}
{% macro changed_key(relation) %}
    {% if not execute or not var('only_changes') %}
        {% do return(none) %}
    {% endif %}
    {% set column = noted_key_column(relation) %}
    {% if column is not none and run_query(notes_of_all_rows_sql(relation, column)).rows | length %}
        {% do return(none) %}
    {% endif %}
    {% do return(column) %}
{% endmacro %}


{#- The node of a model; none for other relations. -#}
{% macro mart_node(relation) %}
    {% do return(execute and graph.nodes.get('model.' ~ project_name ~ '.' ~ relation.identifier)) %}
{% endmacro %}


{#- Column that a mart notes keys of (see `notes_keys`), if it is text, as notes are; else none. -#}
{% macro noted_key_column(relation) %}
    {% set node = mart_node(relation) %}
    {% if not node or node.config.materialized != 'incremental' or node.schema != relation.schema
        or node.config.schema not in published_schemas() %}
        {% do return(none) %}
    {% endif %}
    {% set column = node.config.unique_key or (node.columns.values() | first).name %}
    {% do return(column if column is string and node.columns[column].data_type == 'text' else none) %}
{% endmacro %}


{#- `key_value` or `load_id` of what was noted of a mart. -#}
{% macro noted_sql(relation, name) -%}
    select distinct noted.{{ name }} from {{ unpublished_keys() }} as noted
    where noted.schema_name = '{{ relation.schema }}' and noted.model = '{{ relation.identifier }}'
{%- endmacro %}


{#- A row where the notes do not name keys of that column alone, or too many to look each of them up. -#}
{% macro notes_of_all_rows_sql(relation, column) %}
    {% set of_relation = "schema_name = '" ~ relation.schema ~ "' and model = '" ~ relation.identifier ~ "'" %}
    select 1 as is_noted from {{ unpublished_models() }} where {{ of_relation }}
    union all
    select 1 as is_noted from {{ unpublished_keys() }} where {{ of_relation }}
    group by model
    having
        count(key_value) < count(*)
        or min(key_column) <> '{{ column }}'
        or max(key_column) <> '{{ column }}'
        or count(distinct key_value) > 20000
{% endmacro %}
