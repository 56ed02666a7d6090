-- One row a place that an order was ever shipped to, as the source spells it.
-- Facts must not be ahead of it: depends_on {{ ref('int_orders__current') }}
{{ config(incremental_strategy='append') }}

with places as (
    select distinct
        shipping_country,
        shipping_state,
        shipping_city,
        shipping_zip_code
    from {{ ref('stg_commerce__orders') }}
    where {{ claimed() }}
),

named as (
    select
        {{ location_key('places') }} as location_key,
        shipping_country,
        shipping_state,
        shipping_city,
        shipping_zip_code
    from places
),

stored as (
    {{ stored_rows({'location_key': 'text'}) }}
),

final as (
    select
        named.location_key,
        named.shipping_country,
        named.shipping_state,
        named.shipping_city,
        named.shipping_zip_code
    from named
    left join stored on named.location_key = stored.location_key
    where stored.location_key is null
)

select * from final
