-- One row a city: that of the latest completed load of the reference data.
with versions as (
    select * from {{ source('reference', 'cities') }}
),

loads as (
    select * from {{ ref('stg_raw__loads') }}
),

ranked as (
    select
        versions.geoname_id,
        versions.country_code,
        versions.city,
        versions.alternate_names,
        versions.admin1_code,
        versions.latitude,
        versions.longitude,
        versions.population,
        row_number() over (
            partition by versions.geoname_id
            order by loads.completed_at desc, loads.load_id desc
        ) as version_rank
    from versions
    inner join loads on versions._dlt_load_id = loads.load_id
),

final as (
    select
        geoname_id,
        country_code,
        city,
        alternate_names,
        admin1_code,
        latitude,
        longitude,
        population
    from ranked
    where version_rank = 1
)

select * from final
