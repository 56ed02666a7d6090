-- One row a spelling of a country, in lower case: its name, codes and aliases.
{{ config(materialized='view') }}

with countries as (
    select * from {{ ref('stg_reference__countries') }}
),

aliases as (
    select * from {{ ref('country_aliases') }}
),

spellings as (
    select
        lower(country) as country_name,
        country_code,
        1 as priority
    from countries
    union all
    select
        lower(country_code) as country_name,
        country_code,
        2 as priority
    from countries
    union all
    select
        lower(country_code_3) as country_name,
        country_code,
        3 as priority
    from countries
    union all
    select
        lower(alias) as country_name,
        country_code,
        4 as priority
    from aliases
),

ranked as (
    select
        country_name,
        country_code,
        row_number() over (
            partition by country_name
            order by priority, country_code
        ) as spelling_rank
    from spellings
    where country_name is not null
),

final as (
    select
        country_name,
        country_code
    from ranked
    where spelling_rank = 1
)

select * from final
