-- One row a version of a ticket, as landed.
with versions as (
    select * from {{ source('support', 'tickets') }}
),

final as (
    select
        -- ids
        id as ticket_id,
        company_id,
        requester_id as user_id,

        -- texts
        {{ clean_text('subject') }} as subject,
        priority,
        {{ clean_text('status') }} as ticket_status,

        -- booleans
        coalesce(_is_deleted, false) as is_deleted,
        resolved_at is not null as is_resolved,

        -- times
        {{ to_utc('created_at') }} as opened_at,
        {{ to_utc('resolved_at') }} as resolved_at,
        {{ to_utc('updated_at') }} as updated_at,
        {{ to_utc('_received_at') }} as _received_at,

        -- lineage
        _row_hash,
        _dlt_load_id
    from versions
)

select * from final
