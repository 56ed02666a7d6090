{#- Key of the place that an order is shipped to; the unknown member when no part is known. -#}
{% macro location_key(relation) -%}
    {%- set columns = [] -%}
    {%- for part in ['country', 'state', 'city', 'zip_code'] -%}
        {%- do columns.append(relation ~ '.shipping_' ~ part) -%}
    {%- endfor -%}
    {{ hash_key(columns) }}
{%- endmacro %}
