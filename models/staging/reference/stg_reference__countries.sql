-- One row a country: that of the latest completed load of the reference data.
with versions as (
    select * from {{ source('reference', 'countries') }}
),

loads as (
    select * from {{ ref('stg_raw__loads') }}
),

ranked as (
    select
        versions.country_code,
        versions.country_code_3,
        versions.country,
        versions.continent_code,
        row_number() over (
            partition by versions.country_code
            order by loads.completed_at desc, loads.load_id desc
        ) as version_rank
    from versions
    inner join loads on versions._dlt_load_id = loads.load_id
),

final as (
    select
        country_code,
        country_code_3,
        country,
        continent_code
    from ranked
    where version_rank = 1
)

select * from final
