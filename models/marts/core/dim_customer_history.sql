-- One row a customer and period in which nothing tracked changed; rebuilt from the raw log.
with versions as (
    select * from {{ ref('int_customers__versions') }}
),

compared as (
    select
        customer_id,
        updated_at,
        tracked_hash,
        lag(tracked_hash) over (
            partition by customer_id
            order by updated_at
        ) as previous_hash
    from versions
),

changes as (
    select
        customer_id,
        updated_at as valid_from,
        lead(updated_at) over (
            partition by customer_id
            order by updated_at
        ) as valid_to
    from compared
    where previous_hash is null or previous_hash <> tracked_hash
),

final as (
    select
        {{ hash_key(['changes.customer_id', timestamp_text('changes.valid_from')]) }}
            as customer_history_key,
        {{ hash_key(['changes.customer_id']) }} as customer_key,
        changes.customer_id,
        versions.company_id,
        versions.full_name,
        versions.email,
        versions.phone,
        versions.segment,
        versions.street,
        versions.city,
        versions.state,
        versions.country,
        versions.zip_code,
        versions.signup_date,
        versions.is_deleted,
        changes.valid_to is null as is_current,
        changes.valid_from,
        changes.valid_to
    from changes
    inner join versions
        on
            changes.customer_id = versions.customer_id
            and changes.valid_from = versions.updated_at
)

select * from final
