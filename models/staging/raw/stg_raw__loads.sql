-- One row a completed load: only rows of such loads may be read.
with loads as (
    select * from {{ source('raw', 'dlt_loads') }}
),

final as (
    select
        load_id,
        schema_name,
        max({{ to_utc('inserted_at') }}) as completed_at
    from loads
    where status = 0
    group by load_id, schema_name
)

select * from final
