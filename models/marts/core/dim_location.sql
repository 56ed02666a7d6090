-- One row a place that orders are shipped to, as the source spells it, and the unknown place.
with country_names as (
    select * from {{ ref('int_countries__names') }}
),

places as (
    select
        shipping_country,
        shipping_state,
        shipping_city,
        shipping_zip_code
    from {{ ref('int_locations__seen') }}
    union
    select
        cast(null as text) as shipping_country,
        cast(null as text) as shipping_state,
        cast(null as text) as shipping_city,
        cast(null as text) as shipping_zip_code
),

final as (
    select
        {{ location_key('places') }} as location_key,
        places.shipping_country as country,
        country_names.country_code,
        places.shipping_state as state,
        places.shipping_city as city,
        places.shipping_zip_code as zip_code,
        {{ location_key('places') }} = {{ unknown_key(4) }} as is_unknown
    from places
    left join country_names on lower(places.shipping_country) = country_names.country_name
)

select * from final
