{#-
    Notes for the next publication, in the transaction of the rows they speak of: which marts were
    written as a whole, and of the others, which keys. A publication takes them with its own switch.
-#}
{% macro unpublished_models() %}
    {% do return(load_claims().incorporate(path={'identifier': 'unpublished_models'})) %}
{% endmacro %}


{% macro unpublished_keys() %}
    {% do return(load_claims().incorporate(path={'identifier': 'unpublished_keys'})) %}
{% endmacro %}


{% macro create_unpublished_sql() %}
    create table if not exists {{ unpublished_models() }} (
        schema_name text not null,
        model text not null,
        invocation_id text not null
    );
    create table if not exists {{ unpublished_keys() }} (
        schema_name text not null,
        model text not null,
        key_column text not null,
        key_value text,
        load_id text
    );
    alter table {{ unpublished_keys() }} add column if not exists load_id text;
{% endmacro %}


{#- Whether readers are shown what is built here. -#}
{% macro is_published() %}
    {% set schemas = [] %}
    {% for schema in published_schemas() %}
        {% do schemas.append(generate_schema_name(schema, none) | trim) %}
    {% endfor %}
    {% do return(this.schema in schemas) %}
{% endmacro %}


{#-
    Pre-hook of every mart, seed and snapshot: notes that all of its rows may change, unless this run
    will note their keys. Before the rows, because only then an incremental model knows what it will do.
-#}
{% macro mark_unpublished() -%}
    {%- if is_published() and not notes_keys() -%}
    insert into {{ unpublished_models() }} (schema_name, model, invocation_id)
    values ('{{ this.schema }}', '{{ this.identifier }}', '{{ invocation_id }}')
    {%- endif -%}
{%- endmacro %}


{#- Whether `get_incremental_..._sql` below write the rows of this run, and by one key. -#}
{% macro notes_keys() %}
    {% set strategy = config.get('incremental_strategy') %}
    {% do return(adds_to_existing_rows() and (
        strategy == 'append' or (strategy == 'delete+insert' and config.get('unique_key') is string)
    )) %}
{% endmacro %}


{#-
    Statements that note keys of a mart: of rows that a run writes, or deletes. So many that the mart
    would be published as a whole anyway, as of a first load, are noted as that. Rows that are written
    are noted with the load that they carry, by which engines without indexes find them again.
-#}
{% macro note_unpublished_keys_sql(column, relation, load_id='cast(null as text)') -%}
    {%- if is_published() and adds_to_existing_rows() -%}
    {%- set rows = '(select count(*) from ' ~ relation ~ ')' -%}
    insert into {{ unpublished_models() }} (schema_name, model, invocation_id)
    select '{{ this.schema }}', '{{ this.identifier }}', '{{ invocation_id }}'
    where {{ rows }} > {{ most_noted_rows() }};
    insert into {{ unpublished_keys() }} (schema_name, model, key_column, key_value, load_id)
    select distinct
        '{{ this.schema }}' as schema_name,
        '{{ this.identifier }}' as model,
        '{{ column }}' as key_column,
        cast({{ column }} as text) as key_value,
        {{ load_id }} as load_id
    from {{ relation }}
    where {{ rows }} <= {{ most_noted_rows() }};
    {%- endif -%}
{%- endmacro %}


{#-
    Pre-hook of a fact table: notes the keys that came with the claimed loads, so that one of which no
    row was written is looked for by the tests of this build, and not only by one of everything.
-#}
{% macro note_landed_keys(column, relation) -%}
    {%- if adds_to_existing_rows() -%}
    {{ note_unpublished_keys_sql(
        column,
        '(select ' ~ column ~ ' from ' ~ relation ~ ' where ' ~ claimed_by_name() ~ ') as landed'
    ) }}
    {%- endif -%}
{%- endmacro %}


{#- Rows of one run beyond which their keys are not noted one by one. -#}
{% macro most_noted_rows() -%}
    100000
{%- endmacro %}


{#- The load that a row of the model carries, if it carries one. -#}
{% macro written_load() -%}
    {{ load_column(model) or 'cast(null as text)' }}
{%- endmacro %}


{#- Column of a node that says which load a row came with; none where there is no such column. -#}
{% macro load_column(node) %}
    {% do return('_dlt_load_id' if node and '_dlt_load_id' in node.columns else none) %}
{% endmacro %}


{#- dbt's own statements, after a note of the keys that they are about to write. -#}
{% macro get_incremental_delete_insert_sql(arg_dict) %}
    {%- if notes_keys() %}
    {{ note_unpublished_keys_sql(arg_dict['unique_key'], arg_dict['temp_relation'], written_load()) }}
    {%- endif %}
    {{ plan_for_written_rows() }}
    {{ adapter.dispatch('get_incremental_delete_insert_sql', 'dbt')(arg_dict) }}
{% endmacro %}


{#- Rows that are only added are told apart by the first column, which is the key of a mart. -#}
{% macro get_incremental_append_sql(arg_dict) %}
    {{ note_unpublished_keys_sql(arg_dict['dest_columns'][0].name, arg_dict['temp_relation'], written_load()) }}
    {{ adapter.dispatch('get_incremental_append_sql', 'dbt')(arg_dict) }}
{% endmacro %}
