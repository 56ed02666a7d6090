{#-
    Where readers' tables are changed by differences, builds say which tables they wrote, in the
    transaction of their rows; a publication takes these notes in its own. Engines that publish a
    copy of everything need none.
-#}
{% macro unpublished_models() %}
    {% do return(api.Relation.create(
        database=target.database,
        schema=generate_schema_name('operations', none) | trim,
        identifier='unpublished_models',
        type='table',
    )) %}
{% endmacro %}


{% macro create_unpublished_models() -%}
    {{ return(adapter.dispatch('create_unpublished_models', 'warehouse')()) }}
{%- endmacro %}

{% macro default__create_unpublished_models() -%}{%- endmacro %}

{% macro postgres__create_unpublished_models() -%}
    create table if not exists {{ unpublished_models() }} (
        schema_name text not null,
        model text not null,
        invocation_id text not null
    );
{%- endmacro %}


{#- Post-hook of every mart, seed and snapshot. -#}
{% macro mark_unpublished() -%}
    {{ return(adapter.dispatch('mark_unpublished', 'warehouse')()) }}
{%- endmacro %}

{% macro default__mark_unpublished() -%}{%- endmacro %}

{% macro postgres__mark_unpublished() -%}
    insert into {{ unpublished_models() }} (schema_name, model, invocation_id)
    values ('{{ this.schema }}', '{{ this.identifier }}', '{{ invocation_id }}')
{%- endmacro %}
