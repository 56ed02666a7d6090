{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set own = custom_schema_name | trim if custom_schema_name else target.schema -%}
    {%- if not custom_schema_name or target.name in ['local', 'prod'] -%}
        {{ own }}
    {%- else -%}
        {{ target.schema }}_{{ own }}
    {%- endif -%}
{%- endmacro %}
