{#-
    Names of a database's schemas. dbt-duckdb asks for its own in quotes, finds none, and creates every
    schema anew with each command.
-#}
{% macro duckdb__list_schemas(database) %}
    {% set names %}
        select schema_name
        from system.information_schema.schemata
        where lower(catalog_name) = '{{ database | replace('"', '') | lower }}'
    {% endset %}
    {{ return(run_query(names)) }}
{% endmacro %}
