-- One row a product, known, only seen in orders (inferred), or unknown.
with products as (
    select * from {{ ref('int_products__current') }}
),

members as (
    select product_id from products
    union
    select product_id from {{ ref('int_products__seen') }}
    union
    select cast(null as text) as product_id
),

final as (
    select
        {{ hash_key(['members.product_id']) }} as product_key,
        members.product_id,
        products.sku,
        products.product_name,
        products.category,
        products.brand,
        products.list_price,
        members.product_id is null as is_unknown,
        members.product_id is not null and products.product_id is null as is_inferred,
        coalesce(products.is_deleted, false) as is_deleted,
        products.created_at,
        products.updated_at
    from members
    left join products on members.product_id = products.product_id
)

select * from final
