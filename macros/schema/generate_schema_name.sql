{#-
    The schema as configured on targets `local` and `prod`, prefixed with the target's own elsewhere.
    On `prod` readers own `core`, `health` and `sales`: builds write `working_core` and so on, and
    what passes its audit is published from there. On `local` readers have a file of their own.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set own = custom_schema_name | trim if custom_schema_name else target.schema -%}
    {%- if target.name == 'prod' and own in published_schemas() -%}
        working_{{ own }}
    {%- elif not custom_schema_name or target.name in ['local', 'prod'] -%}
        {{ own }}
    {%- else -%}
        {{ target.schema }}_{{ own }}
    {%- endif -%}
{%- endmacro %}


{#- Schemas that readers see only as audited versions. -#}
{% macro published_schemas() %}
    {% do return(['core', 'health', 'sales']) %}
{% endmacro %}
