-- One row a version of a user, as landed.
with versions as (
    select * from {{ source('crm', 'users') }}
),

final as (
    select
        -- ids
        id as user_id,
        company_id,

        -- texts
        {{ clean_email('email') }} as email,
        {{ clean_name('full_name') }} as full_name,
        {{ clean_text('role') }} as user_role,

        -- booleans
        coalesce(_is_deleted, false) as is_deleted,

        -- times
        {{ to_utc('created_at') }} as created_at,
        {{ to_utc('updated_at') }} as updated_at,
        {{ to_utc('_received_at') }} as _received_at,

        -- lineage
        _row_hash,
        _dlt_load_id
    from versions
)

select * from final
