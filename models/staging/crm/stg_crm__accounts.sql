-- One row a version of an account, as landed.
with versions as (
    select * from {{ source('crm', 'accounts') }}
),

final as (
    select
        -- ids
        id as account_id,

        -- texts
        {{ clean_text('name') }} as account_name,
        {{ clean_text('plan') }} as plan,

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
