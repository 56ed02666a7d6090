{#-
    Notes of companies to count anew, written in the transaction of the facts they speak of, and taken
    in that of the counts. See "Counts of companies" in DECISIONS.md.
-#}
{% macro touched_companies() %}
    {% do return(load_claims().incorporate(path={'identifier': 'touched_companies'})) %}
{% endmacro %}


{#- A row without a company stands for all of them. -#}
{% macro create_touched_companies_sql() %}
    create table if not exists {{ touched_companies() }} (
        model text not null,
        company_id text
    );
{% endmacro %}


{#-
    Pre-hook of a fact table that is counted by company: notes the companies of the rows that it is
    about to write, and those that these rows had before, which nothing remembers afterwards. Of so many
    rows that all companies are likely to be among them, or of all rows, it notes all.
-#}
{% macro note_touched_companies(key, current) -%}
    {%- set claimed_rows = current ~ ' where ' ~ claimed_by_name() -%}
    {%- set many = 'select 1 as is_many from ' ~ claimed_rows ~ ' limit 1 offset ' ~ most_noted_rows() -%}
    {%- if not adds_to_existing_rows() or (not flags.EMPTY and run_query(many).rows | length) -%}
    delete from {{ touched_companies() }} where model = '{{ this.identifier }}';
    insert into {{ touched_companies() }} (model, company_id)
    values ('{{ this.identifier }}', null)
    {%- elif not flags.EMPTY -%}
    {%- set query -%}
    select company_id from {{ claimed_rows }}
    union
    select company_id from {{ this }}
    where {{ is_found_by(key, 'select ' ~ key ~ ' from ' ~ claimed_rows) }}
    {%- endset -%}
    {{ temporary_table_sql(touched(), query) }};
    {{ forget_touched_companies_sql(this.identifier) }};
    insert into {{ touched_companies() }} (model, company_id)
    select
        '{{ this.identifier }}' as model,
        company_id
    from {{ touched() }}
    where company_id is not null
    {%- endif -%}
{%- endmacro %}


{#- Statement that removes the notes of the companies in `touched()`; a note is never there twice. -#}
{% macro forget_touched_companies_sql(model_name) -%}
    delete from {{ touched_companies() }}
    where
        model = '{{ model_name }}'
        and company_id in (select company_id from {{ touched() }})
{%- endmacro %}


{#-
    Whether a model that counts a fact by company may keep the rows of companies that are not touched:
    they are of the day of `as_of` and not ahead of it, the scoring is the same, and the touched
    ones are few enough to be looked up one by one.
-#}
{% macro counts_touched_only(fact, configuration, companies) %}
    {% if not execute or not adds_to_existing_rows() %}
        {% do return(false) %}
    {% endif %}
    {% set query %}
        select 1 as is_kept
        from (
            select
                cast(min(counted_at) as date) as counted_date,
                max(counted_at) as counted_at,
                min(config_version) as first_version,
                max(config_version) as last_version,
                count(*) as company_count
            from {{ this }}
        ) as counted
        cross join (
            select
                count(*) as note_count,
                count(company_id) as company_count
            from {{ touched_companies() }}
            where model = '{{ fact.identifier }}'
        ) as noted
        cross join {{ configuration.render() }} as configuration
        where
            counted.counted_date = {{ as_of_day() }}
            and counted.counted_at <= {{ as_of() }}
            and counted.first_version = configuration.config_version
            and counted.last_version = configuration.config_version
            and noted.note_count = noted.company_count
            and (
                noted.company_count + (select count(*) from {{ companies.render() }}) - counted.company_count
            ) * 4 <= counted.company_count + 400
    {% endset %}
    {% do return(run_query(query).rows | length > 0) %}
{% endmacro %}


{#-
    Pre-hook of a model that counts a fact by company, as it was compiled: puts the companies to count
    into `touched()`, or gets ready to count all; and takes the notes. What is noted later than
    they are taken is counted by the next run, what was noted before is seen by this one. A run with
    `--empty` writes no row, for it sees no configuration, and so takes none.
-#}
{% macro take_touched_companies(fact, companies) -%}
    {%- if execute and touched() in sql -%}
    {%- set query -%}
    select company_id from {{ touched_companies() }}
    where model = '{{ fact.identifier }}' and company_id is not null
    union
    select company_id from {{ this }}
    where next_count_at <= {{ as_of() }}
    union
    select companies.company_id from {{ companies.render() }} as companies
    left join {{ this }} as counted on companies.company_id = counted.company_id
    where companies.company_id is not null and counted.company_id is null
    {%- endset -%}
    {{ temporary_table_sql(touched(), query) }};
    {%- if not flags.EMPTY %}
    {{ forget_touched_companies_sql(fact.identifier) }}
    {%- endif %}
    {%- else -%}
    {{ plan_for_all_rows() }}
    {%- if not flags.EMPTY %}
    delete from {{ touched_companies() }} where model = '{{ fact.identifier }}'
    {%- endif %}
    {%- endif -%}
{%- endmacro %}


{#- Select of the companies whose rows a run writes. Who is counted once keeps a row. -#}
{% macro companies_to_count(companies, touched_only) -%}
    {%- if touched_only -%}
    select company_id from {{ touched() }}
    {%- else -%}
    select company_id from {{ companies }}
    where company_id is not null
    {%- if adds_to_existing_rows() %}
    union
    select company_id from {{ this }}
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}
