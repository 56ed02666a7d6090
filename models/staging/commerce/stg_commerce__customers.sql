-- One row a version of a customer, cleaned; an unparsable day of sign-up is null and flagged.
with versions as (
    select * from {{ source('commerce', 'customers') }}
),

final as (
    select
        -- ids
        id as customer_id,
        company_id,

        -- texts
        {{ clean_name('full_name') }} as full_name,
        {{ clean_email('email_address') }} as email,
        {{ clean_phone('phone') }} as phone,
        segment,
        {{ clean_text('address_street') }} as street,
        {{ clean_text('address_city') }} as city,
        {{ clean_text('address_state') }} as state,
        {{ clean_text('address_country') }} as country,
        {{ clean_text('address_zip_code') }} as zip_code,

        -- booleans
        coalesce(_is_deleted, false) as is_deleted,
        (
            signup_date is not null and {{ parse_date('signup_date') }} is null
        ) as has_unparsable_signup_date,

        -- times
        {{ parse_date('signup_date') }} as signup_date,
        {{ to_utc('created_at') }} as created_at,
        {{ to_utc('updated_at') }} as updated_at,
        {{ to_utc('_received_at') }} as _received_at,

        -- lineage
        _row_hash,
        _dlt_load_id
    from versions
)

select * from final
