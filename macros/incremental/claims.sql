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


{#-
    Claims that `warehouse maintain` has summed up: the model has claimed every load that was completed
    before a moment. It keeps the list of claims as short as what a few days bring.
-#}
{% macro settled_claims() %}
    {% do return(load_claims().incorporate(path={'identifier': 'settled_claims'})) %}
{% endmacro %}


{#- Moment before which the model has claimed every load; none was completed before 1970. -#}
{% macro settled_until(name) -%}
    coalesce(
        (
            select max(settled.settled_until) from {{ settled_claims() }} as settled
            where settled.model = '{{ name }}'
        ),
        cast('1970-01-01 00:00:00+00' as timestamptz)
    )
{%- endmacro %}


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
                delete from {{ settled_claims() }} where model = '{{ model.name }}';
            {% endif %}
            {% if not flags.EMPTY %}
                {{ insert_claims_sql(loads, upstream_incremental_models()) }}
            {% endif %}
        {% endif %}
    {% endif %}
{% endmacro %}


{#-
    Every completed load that the model has not claimed yet and that all its upstream models have, or
    never need to: a load without a row for them is none that they could add anything from.
-#}
{% macro insert_claims_sql(loads, upstream) %}
    {% set irrelevant = irrelevant_loads(loads, upstream) %}
    insert into {{ load_claims() }} (model, load_id, invocation_id, claimed_at)
    select distinct
        '{{ model.name }}' as model,
        completed.load_id,
        '{{ invocation_id }}' as invocation_id,
        {{ timestamp_literal(run_started_at) }} as claimed_at
    from {{ loads }} as completed
    where
        completed.status = 0
        and {{ not_claimed_by(model.name) }}
        {%- for name in upstream %}
        and (
            not ({{ not_claimed_by(name) }})
            {%- if irrelevant[name] %}
            or completed.load_id in ('{{ irrelevant[name] | join("', '") }}')
            {%- endif %}
        )
        {%- endfor %}
{% endmacro %}


{% macro not_claimed_by(name) -%}
    (
        completed.inserted_at >= {{ settled_until(name) }}
        and completed.load_id not in (
            select claims.load_id from {{ load_claims() }} as claims where claims.model = '{{ name }}'
        )
    )
{%- endmacro %}


{#-
    By upstream model: completed loads that it has not claimed and that hold no row for it, as when
    only what is downstream of one raw table is built. Asked for in two steps, so that raw tables are
    searched for a few loads that are named, and not at all when upstream has claimed everything.
-#}
{% macro irrelevant_loads(loads, upstream) %}
    {% set irrelevant = {} %}
    {% for name in upstream %}
        {% do irrelevant.update({name: []}) %}
    {% endfor %}
    {% if upstream %}
        {% set waiting = [] %}
        {% for row in run_query(waiting_loads_sql(loads, upstream)).rows %}
            {% do waiting.append(row[0]) %}
        {% endfor %}
        {% if waiting %}
            {% set relevant = [] %}
            {% for row in run_query(relevant_loads_sql(upstream, waiting)).rows %}
                {% do relevant.append((row[0], row[1])) %}
            {% endfor %}
            {% for name in upstream %}
                {% for load_id in waiting if (name, load_id) not in relevant %}
                    {% do irrelevant[name].append(load_id) %}
                {% endfor %}
            {% endfor %}
        {% endif %}
    {% endif %}
    {% do return(irrelevant) %}
{% endmacro %}


{#-
    Completed loads that neither the model nor all its upstream models have claimed. A model that is built
    anew has claimed none: what it had is deleted by the hook that this is asked for.
-#}
{% macro waiting_loads_sql(loads, upstream) %}
    select distinct completed.load_id
    from {{ loads }} as completed
    where
        completed.status = 0
        {%- if adds_to_existing_rows() %}
        and {{ not_claimed_by(model.name) }}
        {%- endif %}
        and (
            {%- for name in upstream %}
            {{ 'or ' if not loop.first }}{{ not_claimed_by(name) }}
            {%- endfor %}
        )
{% endmacro %}


{#- Pairs of an upstream model and one of `load_ids` that holds a row for it. -#}
{% macro relevant_loads_sql(upstream, load_ids) %}
    {%- set selects = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name in upstream -%}
        {%- set tables = [] -%}
        {%- do collect_raw_tables(node, tables) -%}
        {%- for table in tables | unique -%}
            {%- do selects.append(
                "select '" ~ node.name ~ "' as model, _dlt_load_id as load_id from " ~ table
                ~ " where _dlt_load_id in ('" ~ load_ids | join("', '") ~ "')"
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ selects | join('\nunion\n') }}
{% endmacro %}


{#- Raw tables that a node reads, directly or through other nodes, as far as they come in loads. -#}
{% macro collect_raw_tables(node, found) %}
    {% for node_id in node.depends_on.nodes %}
        {% if node_id in graph.sources and '_dlt_load_id' in graph.sources[node_id].columns %}
            {% do found.append(graph.sources[node_id].schema ~ '.' ~ graph.sources[node_id].identifier) %}
        {% elif node_id in graph.nodes %}
            {% do collect_raw_tables(graph.nodes[node_id], found) %}
        {% endif %}
    {% endfor %}
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
    {%- set loads -%}
    select claims.load_id from {{ load_claims() }} as claims
    where claims.model = '{{ model.name }}' and claims.invocation_id = '{{ invocation_id }}'
    {%- endset -%}
    {%- if adds_to_existing_rows() -%}
    {{ is_found_by(column, loads) }}
    {%- else -%}
    {{ column }} in ({{ loads }})
    {%- endif -%}
{%- endmacro %}


{#- The same for a pre-hook, which runs after the loads were claimed: it can name them. -#}
{% macro claimed_by_name(column='_dlt_load_id') -%}
    {%- set names = [] -%}
    {%- if execute -%}
        {%- for row in run_query(
            "select load_id from " ~ load_claims() ~ " where model = '" ~ model.name
            ~ "' and invocation_id = '" ~ invocation_id ~ "'"
        ).rows -%}
            {%- do names.append(row[0]) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if names -%}
    {{ column }} in ('{{ names | join("', '") }}')
    {%- else -%}
    1 = 0
    {%- endif -%}
{%- endmacro %}


{#-
    Condition: the row came with a load that an incremental model has claimed, in this run or before.
    A join with the claims makes PostgreSQL expect a few rows where all are meant; `is true` keeps
    the loads a list to look up.
-#}
{% macro claimed_by(relation, column='_dlt_load_id') -%}
    ({{ column }} in (
        select claims.load_id from {{ load_claims() }} as claims
        where claims.model = '{{ relation.identifier }}'
        union all
        select completed.load_id from {{ source('raw', 'dlt_loads').render() }} as completed
        where completed.status = 0 and completed.inserted_at < {{ settled_until(relation.identifier) }}
    )) is true
{%- endmacro %}
