-- One row a place (country, state, city) that customers live in and the city library knows.
{{ config(materialized='table') }}

with places as (
    select distinct
        country,
        state,
        city
    from {{ ref('int_customers__current') }}
    where country is not null and city is not null
),

country_names as (
    select * from {{ ref('int_countries__names') }}
),

cities as (
    select * from {{ ref('stg_reference__cities') }}
),

city_names as (
    select
        geoname_id,
        lower(city) as city_name,
        true as is_main_name
    from cities
    union all
    select
        cities.geoname_id,
        lower(names.part) as city_name,
        false as is_main_name
    from cities
    cross join {{ split_rows('cities.alternate_names', 'names') }}
),

candidates as (
    select
        places.country,
        places.state,
        places.city,
        cities.geoname_id,
        cities.latitude,
        cities.longitude,
        row_number() over (
            partition by places.country, places.state, places.city
            order by
                case when upper(places.state) = cities.admin1_code then 0 else 1 end asc,
                case when city_names.is_main_name then 0 else 1 end asc,
                cities.population desc nulls last,
                cities.geoname_id asc
        ) as candidate_rank
    from places
    inner join country_names on lower(places.country) = country_names.country_name
    inner join city_names on lower(places.city) = city_names.city_name
    inner join cities
        on
            city_names.geoname_id = cities.geoname_id
            and country_names.country_code = cities.country_code
),

final as (
    select
        {{ hash_key(['country', 'state', 'city']) }} as place_key,
        country,
        state,
        city,
        geoname_id,
        latitude,
        longitude
    from candidates
    where candidate_rank = 1
)

select * from final
