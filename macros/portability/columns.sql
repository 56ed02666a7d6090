{#-
    The columns of a relation, as dbt asks for them three times a model. dbt-postgres reads
    `information_schema.columns`, a join of ten catalogs, which takes ten times as long as their own.
-#}
{% macro postgres__get_columns_in_relation(relation) -%}
    {%- call statement('get_columns_in_relation', fetch_result=true) %}
    select
        attname as column_name,
        format_type(atttypid, null) as data_type,
        information_schema._pg_char_max_length(atttypid, atttypmod) as character_maximum_length,
        information_schema._pg_numeric_precision(atttypid, atttypmod) as numeric_precision,
        information_schema._pg_numeric_scale(atttypid, atttypmod) as numeric_scale
    from pg_catalog.pg_attribute
    where
        attrelid = to_regclass('{{ relation.include(database=false) }}')
        and attnum > 0
        and not attisdropped
    order by attnum
    {%- endcall -%}
    {{ return(sql_convert_columns_in_relation(load_result('get_columns_in_relation').table)) }}
{%- endmacro %}
