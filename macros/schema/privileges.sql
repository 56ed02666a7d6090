{#-
    Roles on PostgreSQL: loader writes raw, transformer builds all, reporter reads what is published.
    Default privileges make a table that a build replaces readable from the moment it appears.
-#}
{% macro schemas_of_role(role) %}
    {% set marts = [] %}
    {% for schema in published_schemas() + ['operations'] %}
        {% do marts.append(generate_schema_name(schema, none) | trim) %}
    {% endfor %}
    {% set inner = [] %}
    {% for schema in ['staging', 'intermediate'] %}
        {% do inner.append(generate_schema_name(schema, none) | trim) %}
    {% endfor %}
    {#- On `prod` publishing grants the reporter its schemas: see serving/publish_postgres.py. -#}
    {% do return({
        'loader': ['raw'],
        'transformer': ['raw'] + inner + marts,
        'reporter': marts[-1:] if target.name == 'prod' else marts,
    }[role]) %}
{% endmacro %}


{#- Roles that exist, with the schemas on which the current user may grant. -#}
{% macro grantable_schemas() %}
    {% set query %}
        select roles.rolname, namespaces.nspname
        from pg_catalog.pg_roles as roles
        cross join pg_catalog.pg_namespace as namespaces
        where
            roles.rolname in ('loader', 'transformer', 'reporter')
            and roles.rolname <> current_user
            and pg_has_role(current_user, namespaces.nspowner, 'usage')
        order by roles.rolname, namespaces.nspname
    {% endset %}
    {% set grantable = [] %}
    {% for row in run_query(query).rows if row[1] in schemas_of_role(row[0]) %}
        {% do grantable.append((row[0], row[1])) %}
    {% endfor %}
    {% do return(grantable) %}
{% endmacro %}


{% macro table_privileges(role) -%}
    {{ 'select' if role == 'reporter' else 'select, insert, update, delete' }}
{%- endmacro %}


{% macro default_privileges() %}
    {% if execute and adapter.type() == 'postgres' and flags.WHICH in ['run', 'build'] %}
        {% for role, schema in grantable_schemas() %}
            alter default privileges in schema {{ schema }}
            grant {{ table_privileges(role) }} on tables to {{ role }};
        {% endfor %}
    {% endif %}
{% endmacro %}


{#- Only tables of the current user: granting on another's would fail. -#}
{% macro grant_privileges() %}
    {% if execute and adapter.type() == 'postgres' and flags.WHICH in ['run', 'build'] %}
        {% for role, schema in grantable_schemas() %}
            grant usage{{ ', create' if role == 'loader' }} on schema {{ schema }} to {{ role }};
            alter default privileges in schema {{ schema }}
            grant {{ table_privileges(role) }} on tables to {{ role }};
            {% for table in own_tables(schema) %}
                grant {{ table_privileges(role) }} on {{ schema }}.{{ adapter.quote(table) }} to {{ role }};
            {% endfor %}
        {% endfor %}
    {% endif %}
{% endmacro %}


{% macro own_tables(schema) %}
    {% set query %}
        select classes.relname
        from pg_catalog.pg_class as classes
        inner join pg_catalog.pg_namespace as namespaces
            on classes.relnamespace = namespaces.oid
        where
            namespaces.nspname = '{{ schema }}'
            and classes.relkind in ('r', 'v', 'm', 'p')
            and pg_has_role(current_user, classes.relowner, 'usage')
        order by classes.relname
    {% endset %}
    {% do return(run_query(query).columns[0].values()) %}
{% endmacro %}
