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

{%- set tracked = [
    'company_id', 'full_name', 'email', 'phone', 'segment', 'street', 'city', 'state', 'country',
    'zip_code', 'signup_date', 'is_deleted',
] %}

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
        {{ tracked | join(',\n        ') }},
        {{ hash_key(tracked) }} as tracked_hash,
        min(_received_at) over (
            partition by customer_id, updated_at, is_deleted
        ) as first_received_at,
        row_number() over (
            partition by customer_id, updated_at, is_deleted
            order by {{ version_order() }}
        ) as state_rank,
        row_number() over (
            partition by customer_id, updated_at
            order by {{ version_order() }}
        ) as version_rank
    from versions
),

-- Of versions of one moment only the one that counts; a deletion has the moment of what it deletes,
-- and its period begins when we heard of it.
dated as (
    select
        *,
        case
            when is_deleted
                then greatest(
                    updated_at,
                    least(first_received_at, coalesce(
                        lead(updated_at) over (
                            partition by customer_id
                            order by updated_at, is_deleted
                        ),
                        first_received_at
                    ))
                )
            else updated_at
        end as starts_at
    from ranked
    where state_rank = 1 and (version_rank = 1 or not is_deleted)
),

-- The last of those that begin at one moment: no period is empty.
lasting as (
    select
        *,
        row_number() over (
            partition by customer_id, starts_at
            order by updated_at desc, is_deleted desc
        ) as start_rank
    from dated
),

compared as (
    select
        *,
        lag(tracked_hash) over (
            partition by customer_id
            order by starts_at
        ) as previous_hash
    from lasting
    where start_rank = 1
),

changes as (
    select
        *,
        lead(starts_at) over (
            partition by customer_id
            order by starts_at
        ) as valid_to
    from compared
    where previous_hash is null or previous_hash <> tracked_hash
),

final as (
    select
        {{ hash_key(['customer_id', timestamp_text('starts_at')]) }} as customer_history_key,
        {{ hash_key(['customer_id']) }} as customer_key,
        customer_id,
        {{ tracked | join(',\n        ') }},
        valid_to is null as is_current,
        starts_at as valid_from,
        valid_to
    from changes
)

select * from final
