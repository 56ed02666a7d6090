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
            {% do found.update({(row[0], row[1]): row[2].split('|')}) %}
        {% endfor %}
        {% for schema in schemas if schema not in (found.keys() | map('first') | list) %}
            create schema if not exists {{ schema }};
        {% endfor %}
        {% for name, columns in tables.items() if name not in found %}
            {{ create_raw_table_sql(name[0], name[1], columns) }}
        {% endfor %}
        {% for name, columns in tables.items() if name in found %}
            {% for column in columns | rejectattr('name', 'in', found[name]) %}
                alter table {{ name[0] }}.{{ name[1] }}
                add column if not exists {{ column.name }} {{ column.data_type }};
            {% endfor %}
        {% endfor %}
        {{ create_missing_indexes(tables) }}
        {% for relation, statement in [
            (claims, create_load_claims_sql(claims)),
            (settled_claims(), create_settled_claims_sql(settled_claims())),
            (unpublished_keys(), create_unpublished_sql()),
            (touched_companies(), create_touched_companies_sql()),
        ] if (relation.schema, relation.identifier) not in found %}
            {{ statement }}
        {% endfor %}
    {% endif %}
{% endmacro %}


{% macro existing_columns_sql(schemas) %}
    select table_schema, table_name, {{ dbt.listagg('column_name', "'|'") }} as column_names
    from information_schema.columns
    where
        table_catalog = '{{ target.database }}'
        and table_schema in ('{{ schemas | join("', '") }}')
    group by table_schema, table_name
{% endmacro %}


{% macro create_raw_table_sql(schema, identifier, columns) %}
    create table if not exists {{ schema }}.{{ identifier }} (
        {%- for column in columns %}
        {{ column.name }} {{ column.data_type }}{{ ',' if not loop.last }}
        {%- endfor %}
    );
{% endmacro %}


{#- Indexes of tables of raw, whoever created them: a first sync does so before any build. -#}
{% macro create_missing_indexes(tables) %}
    {% set existing = existing_indexes(tables.keys() | map('first') | unique | list) %}
    {% for name, columns in tables.items() if existing is not none %}
        {% set names = columns | map(attribute='name') | list %}
        {% for column in indexed_raw_columns(names) if raw_index_name(name[1], column) not in existing %}
            {{ raw_index_sql(name[0], name[1], column) }}
        {% endfor %}
    {% endfor %}
{% endmacro %}


{#- What builds look rows of raw up by: their load, their key; loads by the moment of completion. -#}
{% macro indexed_raw_columns(names) %}
    {% set key = 'order_id' if 'order_id' in names else 'id' %}
    {% do return(['_dlt_load_id', key, 'inserted_at'] | select('in', names) | list) %}
{% endmacro %}


{% macro raw_index_name(identifier, column) %}
    {% do return(identifier ~ '_' ~ column | trim('_')) %}
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


{% macro create_settled_claims_sql(relation) %}
    create table if not exists {{ relation }} (
        model text not null primary key,
        settled_until timestamptz not null
    );
{% endmacro %}
