-- One row a way in, source, entity and status of refused records: how many, and since when.
with dead_letters as (
    select * from {{ ref('stg_ledger__dead_letters') }}
),

totals as (
    select
        way_in,
        source,
        coalesce(entity, 'unknown') as entity,
        status,
        count(*) as letter_count,
        min(first_seen_at) as oldest_at,
        max(first_seen_at) as newest_at
    from dead_letters
    group by way_in, source, coalesce(entity, 'unknown'), status
),

final as (
    select
        {{ hash_key(['way_in', 'source', 'entity', 'status']) }} as dead_letter_summary_key,
        way_in,
        source,
        entity,
        status,
        letter_count,
        oldest_at,
        newest_at
    from totals
)

select * from final
