-- One row a customer and period in which nothing tracked changed; rebuilt from the raw log.
with versions as (
    select * from {{ ref('stg_commerce__customers') }}
    where {{ claimed_by(ref('int_customers__current')) }}
),

-- Of versions of the same moment only the last one counts: no period is empty.
moments as (
    select
        versions.*,
        row_number() over (
            partition by versions.customer_id, versions.updated_at
            order by {{ version_order('versions') }}
        ) as version_rank,
        {{ hash_key([
            'versions.company_id', 'versions.full_name', 'versions.email', 'versions.phone',
            'versions.segment', 'versions.street', 'versions.city', 'versions.state',
            'versions.country', 'versions.zip_code', 'versions.signup_date', 'versions.is_deleted',
        ]) }} as tracked_hash
    from versions
),

compared as (
    select
        moments.*,
        lag(moments.tracked_hash) over (
            partition by moments.customer_id
            order by moments.updated_at
        ) as previous_hash
    from moments
    where moments.version_rank = 1
),

changes as (
    select
        compared.*,
        lead(compared.updated_at) over (
            partition by compared.customer_id
            order by compared.updated_at
        ) as next_change_at
    from compared
    where compared.previous_hash is null or compared.previous_hash <> compared.tracked_hash
),

final as (
    select
        {{ hash_key(['customer_id', timestamp_text('updated_at')]) }} as customer_history_key,
        {{ hash_key(['customer_id']) }} as customer_key,
        customer_id,
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
        next_change_at is null as is_current,
        updated_at as valid_from,
        next_change_at as valid_to
    from changes
)

select * from final
