{#-
    A build of what is downstream of news (var `only_changes`) tests the rows that may differ from what
    readers see: those of the keys that builds have noted since the last publication. All others were
    tested before they were published, and are again with every build of everything.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set column = changed_key(relation) -%}
    {%- if column is none -%}
        {%- do return(adapter.dispatch('get_where_subquery', 'dbt')(relation)) -%}
    {%- endif -%}
    {%- do return(
        '(select * from ' ~ relation ~ ' where ' ~ is_found_by(column, noted_keys_sql(relation))
        ~ ') as changed_rows'
    ) -%}
{%- endmacro %}


{#- Condition on rows of staging: their key is one that changed in a mart. -#}
{% macro is_changed(column, relation) -%}
    {%- if changed_key(relation) is none -%}
    true
    {%- else -%}
    {{ column }} in ({{ noted_keys_sql(relation) }})
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


{#- Column that a mart notes keys of (see `notes_keys`), if it is text, as notes are; else none. -#}
{% macro noted_key_column(relation) %}
    {% set node = graph.nodes.get('model.' ~ project_name ~ '.' ~ relation.identifier) %}
    {% if not node or node.config.materialized != 'incremental' or node.schema != relation.schema
        or node.config.schema not in published_schemas() %}
        {% do return(none) %}
    {% endif %}
    {% set column = node.config.unique_key or (node.columns.values() | first).name %}
    {% do return(column if column is string and node.columns[column].data_type == 'text' else none) %}
{% endmacro %}


{% macro noted_keys_sql(relation) -%}
    select noted.key_value from {{ unpublished_keys() }} as noted
    where noted.schema_name = '{{ relation.schema }}' and noted.model = '{{ relation.identifier }}'
{%- endmacro %}


{#- A row where the notes do not name keys of that column alone. -#}
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
{% endmacro %}
