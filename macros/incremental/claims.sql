{#-
    Claims: which dlt loads each incremental model has consumed, written in the same transaction as
    its rows. See "Incremental by claimed loads" in DECISIONS.md.
-#}

{% macro load_claims() %}
    {% do return(api.Relation.create(
        database=target.database,
        schema=generate_schema_name('operations', none) | trim,
        identifier='load_claims',
        type='table',
    )) %}
{% endmacro %}


{#- Whether this run adds to the rows that the model holds: false when it is built anew. -#}
{% macro adds_to_existing_rows() %}
    {% do return(is_incremental()) %}
{% endmacro %}


{#- Pre-hook of every model; renders nothing unless the model is incremental and claims loads. -#}
{% macro claim_loads() %}
    {% if model.config.materialized == 'incremental' and config.get('claims_loads', true) %}
        {% set loads = source('raw', 'dlt_loads') %}
        {% if execute %}
            {% if not adds_to_existing_rows() %}
                delete from {{ load_claims() }} where model = '{{ model.name }}';
            {% endif %}
            {% if not flags.EMPTY %}
                {{ insert_claims_sql(loads, upstream_incremental_models()) }}
            {% endif %}
        {% endif %}
    {% endif %}
{% endmacro %}


{#- Every completed load that the model has not claimed yet and that all its upstream models have. -#}
{% macro insert_claims_sql(loads, upstream) %}
    insert into {{ load_claims() }} (model, load_id, invocation_id, claimed_at)
    select distinct
        '{{ model.name }}' as model,
        completed.load_id,
        '{{ invocation_id }}' as invocation_id,
        {{ timestamp_literal(run_started_at) }} as claimed_at
    from {{ loads }} as completed
    where
        completed.status = 0
        and completed.load_id not in (
            select own.load_id from {{ load_claims() }} as own
            where own.model = '{{ model.name }}'
        )
        {%- for name in upstream %}
        and completed.load_id in (
            select upstream_claims.load_id from {{ load_claims() }} as upstream_claims
            where upstream_claims.model = '{{ name }}'
        )
        {%- endfor %}
{% endmacro %}


{#- Names of the incremental models that the model reads, directly or through views. -#}
{% macro upstream_incremental_models() %}
    {% set found = [] %}
    {% do collect_upstream(model.depends_on.nodes, found) %}
    {% do return(found | unique | sort) %}
{% endmacro %}


{% macro collect_upstream(node_ids, found) %}
    {% for node_id in node_ids if node_id in graph.nodes %}
        {% set node = graph.nodes[node_id] %}
        {% if node.resource_type == 'model' and node.config.materialized == 'incremental' %}
            {% do found.append(node.name) %}
        {% elif node.resource_type == 'model' and node.config.materialized in ['view', 'ephemeral'] %}
            {% do collect_upstream(node.depends_on.nodes, found) %}
        {% elif node.resource_type != 'seed' and depends_on_sources(node) %}
            {% do exceptions.raise_compiler_error(
                model.name ~ ' is incremental and reads ' ~ node.name ~ ', a ' ~ node.config.materialized
                ~ ' that is rebuilt from sources: it could not tell which loads are new in it. An '
                ~ 'incremental model reads sources, views, seeds and other incremental models only.'
            ) %}
        {% endif %}
    {% endfor %}
{% endmacro %}


{% macro depends_on_sources(node) %}
    {% set ids = node.depends_on.nodes %}
    {% if ids | select('in', graph.sources) | list %}
        {% do return(true) %}
    {% endif %}
    {% for node_id in ids if node_id in graph.nodes and depends_on_sources(graph.nodes[node_id]) %}
        {% do return(true) %}
    {% endfor %}
    {% do return(false) %}
{% endmacro %}


{#- Condition: the row came with a load that this run of the model has claimed. -#}
{% macro claimed(column='_dlt_load_id') -%}
    {{ column }} in (
        select claims.load_id from {{ load_claims() }} as claims
        where claims.model = '{{ model.name }}' and claims.invocation_id = '{{ invocation_id }}'
    )
{%- endmacro %}


{#- Condition: the row came with a load that an incremental model has claimed, in this run or before. -#}
{% macro claimed_by(relation, column='_dlt_load_id') -%}
    {{ column }} in (
        select claims.load_id from {{ load_claims() }} as claims
        where claims.model = '{{ relation.identifier }}'
    )
{%- endmacro %}
