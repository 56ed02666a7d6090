-- What: rows, units and amounts of fct_sales equal those of the raw log, found without the
--   incremental layer: the items of each order's last live version (of its last one if none lives).
-- When it matters: a difference means that sales were lost, doubled or taken from a stale version.
-- How to resolve: `dbt build --full-refresh -s +fct_sales`, then look for what the run before did.
with order_versions as (
    select
        order_id,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        row_number() over (
            partition by order_id
            order by is_deleted, {{ version_order() }}
        ) as version_rank
    from {{ ref('stg_commerce__orders') }}
    where
        {{ claimed_by(ref('fct_sales')) }}
        and {{ is_changed('order_id', ref('fct_sales')) }}
),

items as (
    select distinct
        items.order_item_key,
        items.quantity,
        items.quantity * cast(items.unit_price as numeric(28, 6)) as total_amount,
        coalesce(items.discount_amount, 0) as discount_amount
    from {{ ref('stg_commerce__order_items') }} as items
    inner join order_versions
        on
            items.order_id = order_versions.order_id
            and items.is_deleted = order_versions.is_deleted
            and items.order_updated_at = order_versions.updated_at
            and items._received_at = order_versions._received_at
            and items._row_hash = order_versions._row_hash
    where
        order_versions.version_rank = 1
        and {{ claimed_by(ref('fct_sales'), 'items._dlt_load_id') }}
),

expected as (
    select
        count(*) as row_count,
        coalesce(sum(quantity), 0) as quantity,
        coalesce(sum(total_amount), 0) as total_amount,
        coalesce(sum(discount_amount), 0) as discount_amount
    from items
),

actual as (
    select
        count(*) as row_count,
        coalesce(sum(quantity), 0) as quantity,
        coalesce(sum(total_amount), 0) as total_amount,
        coalesce(sum(discount_amount), 0) as discount_amount
    from {{ changed_rows(ref('fct_sales')) }}
)

select
    expected.row_count as expected_row_count,
    actual.row_count as actual_row_count,
    expected.quantity as expected_quantity,
    actual.quantity as actual_quantity,
    expected.total_amount as expected_total_amount,
    actual.total_amount as actual_total_amount,
    expected.discount_amount as expected_discount_amount,
    actual.discount_amount as actual_discount_amount
from expected
cross join actual
where
    expected.row_count <> actual.row_count
    or expected.quantity <> actual.quantity
    or expected.total_amount <> actual.total_amount
    or expected.discount_amount <> actual.discount_amount
