-- One row an order item ever seen: as in the latest version of its order, else flagged as removed.
-- Rows are replaced order by order (`unique_key`), for an order's version decides on all its items.
{{
    config(
        unique_key='order_id',
        pre_hook="{{ note_touched(touched_orders()) }}",
        indexes=indexed([['order_id'], ['_dlt_load_id']])
    )
}}

with claimed_items as (
    select * from {{ ref('stg_commerce__order_items') }}
    where {{ claimed() }}
),

current_orders as (
    select * from {{ ref('int_orders__current') }}
    where {{ only_touched_rows(ref('int_orders__current'), 'order_id') }}
),

deleted_orders as (
    select current_orders.order_id from current_orders
    where current_orders.is_deleted
),

-- A deletion says nothing about items: a deleted order keeps those of its last live version.
versions_of_deleted_orders as (
    select
        order_id,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id,
        row_number() over (
            partition by order_id
            order by is_deleted, {{ version_order() }}
        ) as version_rank
    from {{ ref('stg_commerce__orders') }}
    where
        {{ is_among('order_id', 'deleted_orders', 'order_id') }}
        and {{ claimed_by(this) }}
),

order_versions as (
    select
        order_id,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from current_orders
    where not is_deleted
    union all
    select
        order_id,
        is_deleted,
        updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from versions_of_deleted_orders
    where version_rank = 1
),

item_versions as (
    select
        order_item_key,
        order_id,
        order_item_id,
        product_id,
        quantity,
        unit_price,
        discount_amount,
        is_deleted,
        order_updated_at,
        _received_at,
        _row_hash,
        _dlt_load_id
    from claimed_items
    {{ union_existing(touched(), 'order_id', [
        'order_item_key', 'order_id', 'order_item_id', 'product_id', 'quantity', 'unit_price',
        'discount_amount', 'is_deleted', 'order_updated_at', '_received_at', '_row_hash',
        '_dlt_load_id',
    ]) }}
),

ranked as (
    select
        item_versions.order_item_key,
        item_versions.order_id,
        item_versions.order_item_id,
        item_versions.product_id,
        item_versions.quantity,
        item_versions.unit_price,
        item_versions.discount_amount,
        item_versions.is_deleted,
        item_versions.order_updated_at,
        item_versions._received_at,
        item_versions._row_hash,
        row_number() over (
            partition by item_versions.order_item_key
            order by
                item_versions.is_deleted,
                {{ version_order('item_versions', 'order_updated_at') }}
        ) as version_rank
    from item_versions
),

final as (
    select
        ranked.order_item_key,
        ranked.order_id,
        ranked.order_item_id,
        ranked.product_id,
        ranked.quantity,
        ranked.unit_price,
        ranked.discount_amount,
        ranked.is_deleted,
        (
            ranked.is_deleted <> order_versions.is_deleted
            or ranked.order_updated_at <> order_versions.updated_at
            or ranked._received_at <> order_versions._received_at
            or ranked._row_hash <> order_versions._row_hash
        ) as is_removed,
        ranked.order_updated_at,
        ranked._received_at,
        ranked._row_hash,
        order_versions._dlt_load_id
    from ranked
    inner join order_versions on ranked.order_id = order_versions.order_id
    where ranked.version_rank = 1
)

select * from final
{{ clustered_by('order_id') }}
