{#-
    Create what a build reads but does not build, on an empty warehouse, and columns that a contract
    has gained since. One catalog query when all exists.
-#}
{% macro create_raw_tables() %}
    {% if execute and flags.WHICH in ['run', 'build', 'seed', 'snapshot', 'test'] %}
        {% set claims = load_claims() %}
        {% set tables = {} %}
        {% for source in graph.sources.values() | selectattr('package_name', 'equalto', project_name) %}
            {% do tables.update({
                (source.schema, source.identifier): source.columns.values() | list
            }) %}
        {% endfor %}
        {% set schemas = (tables.keys() | map('first') | list + [claims.schema]) | unique | list %}
        {% set found = {} %}
        {% for row in run_query(existing_columns_sql(schemas)).rows %}
            {% do found.setdefault((row[0], row[1]), []).append(row[2]) %}
        {% endfor %}
        {% for schema in schemas if schema not in (found.keys() | map('first') | list) %}
            create schema if not exists {{ schema }};
        {% endfor %}
        {% for name, columns in tables.items() if name not in found %}
            {{ create_raw_table_sql(name[0], name[1], columns) }}
        {% endfor %}
        {% for name, columns in tables.items() if name in found %}
            {% for column in columns if column.name not in found[name] %}
                alter table {{ name[0] }}.{{ name[1] }}
                add column if not exists {{ column.name }} {{ column.data_type }};
            {% endfor %}
        {% endfor %}
        {% if (claims.schema, claims.identifier) not in found %}
            {{ create_load_claims_sql(claims) }}
        {% endif %}
        {% if (claims.schema, unpublished_keys().identifier) not in found %}
            {{ create_unpublished_sql() }}
        {% endif %}
    {% endif %}
{% endmacro %}


{% macro existing_columns_sql(schemas) %}
    select table_schema, table_name, column_name
    from information_schema.columns
    where
        table_catalog = '{{ target.database }}'
        and table_schema in ('{{ schemas | join("', '") }}')
{% endmacro %}


{% macro create_raw_table_sql(schema, identifier, columns) %}
    create table if not exists {{ schema }}.{{ identifier }} (
        {%- for column in columns %}
        {{ column.name }} {{ column.data_type }}{{ ',' if not loop.last }}
        {%- endfor %}
    );
    {%- set names = columns | map(attribute='name') | list %}
    {%- for name in ['_dlt_load_id', 'order_id' if 'order_id' in names else 'id'] if name in names %}
    {{ raw_index_sql(schema, identifier, name) }}
    {%- endfor %}
{% endmacro %}


{% macro create_load_claims_sql(relation) %}
    create table if not exists {{ relation }} (
        model text not null,
        load_id text not null,
        invocation_id text not null,
        claimed_at timestamp not null,
        primary key (model, load_id)
    );
{% endmacro %}
