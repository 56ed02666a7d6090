-- One row a version of a piece of feedback, as landed.
with versions as (
    select * from {{ source('support', 'feedback') }}
),

final as (
    select
        -- ids
        id as feedback_id,
        company_id,
        user_id,

        -- texts
        sentiment,
        {{ clean_text('channel') }} as channel,
        body,

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
