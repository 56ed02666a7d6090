-- One row a customer and period in which nothing tracked changed; rebuilt from the raw log.
-- Rows are replaced customer by customer (`unique_key`), so that a late version is sorted in.
-- depends_on: {{ ref('int_customers__current') }} (both tell the same story: same loads)
{{
    config(
        materialized='incremental',
        unique_key='customer_id',
        indexes=indexed([['customer_id'], ['customer_key']])
    )
}}

-- Used by an incremental run only: a first build takes every customer.
with touched_customers as (  -- noqa: ST03
    select customer_id from {{ ref('stg_commerce__customers') }}
    where {{ claimed() }}
),

versions as (
    select * from {{ ref('stg_commerce__customers') }}
    where
        {{ claimed_by(this) }}
        and {{ only_touched('customer_id', 'touched_customers', 'customer_id') }}
),

ranked as (
    select
        customer_id,
        updated_at,
        company_id,
        full_name,
        email,
        phone,
        segment,
        street,
        city,
        state,
        country,
        zip_code,
        signup_date,
        is_deleted,
        {{ hash_key([
            'company_id', 'full_name', 'email', 'phone', 'segment', 'street', 'city', 'state',
            'country', 'zip_code', 'signup_date', 'is_deleted',
        ]) }} as tracked_hash,
        row_number() over (
            partition by customer_id, updated_at
            order by {{ version_order() }}
        ) as version_rank
    from versions
),

-- Of versions of the same moment only the one that counts: no period is empty.
compared as (
    select
        customer_id,
        updated_at,
        tracked_hash,
        lag(tracked_hash) over (
            partition by customer_id
            order by updated_at
        ) as previous_hash
    from ranked
    where version_rank = 1
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
        ranked.company_id,
        ranked.full_name,
        ranked.email,
        ranked.phone,
        ranked.segment,
        ranked.street,
        ranked.city,
        ranked.state,
        ranked.country,
        ranked.zip_code,
        ranked.signup_date,
        ranked.is_deleted,
        changes.valid_to is null as is_current,
        changes.valid_from,
        changes.valid_to
    from changes
    inner join ranked
        on
            changes.customer_id = ranked.customer_id
            and changes.valid_from = ranked.updated_at
    where ranked.version_rank = 1
)

select * from final
