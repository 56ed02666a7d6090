-- One row a version of a company, as landed.
with versions as (
    select * from {{ source('crm', 'companies') }}
),

final as (
    select
        -- ids
        id as company_id,
        account_id,

        -- texts
        {{ clean_text('name') }} as company_name,
        {{ clean_text('domain') }} as domain,
        {{ clean_text('industry') }} as industry,
        {{ clean_text('country') }} as country,

        -- booleans
        coalesce(_is_deleted, false) as is_deleted,
        coalesce(is_active, false) as is_active,

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
