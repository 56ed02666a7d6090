-- One row a customer, known, only seen in orders (inferred), or unknown; with what they bought.
with customers as (
    select * from {{ ref('int_customers__current') }}
),

places as (
    select * from {{ ref('int_places__coordinates') }}
),

purchases as (
    select
        customer_id,
        sum(order_count) as total_orders,
        sum(net_amount) as lifetime_value
    from {{ ref('int_customers__purchases') }}
    group by customer_id
),

members as (
    select customer_id from customers
    union
    select customer_id from purchases
    union
    select cast(null as text) as customer_id
),

final as (
    select
        {{ hash_key(['members.customer_id']) }} as customer_key,
        members.customer_id,
        {{ hash_key(['customers.company_id']) }} as company_key,
        customers.full_name,
        customers.email,
        customers.phone,
        customers.segment,
        {{ lifecycle_stage('customers.signup_date') }} as lifecycle_stage,
        customers.street,
        customers.city,
        customers.state,
        customers.country,
        customers.zip_code,
        places.latitude,
        places.longitude,
        cast(coalesce(purchases.total_orders, 0) as bigint) as total_orders,
        cast(coalesce(purchases.lifetime_value, 0) as numeric(28, 6)) as lifetime_value,
        members.customer_id is null as is_unknown,
        members.customer_id is not null and customers.customer_id is null as is_inferred,
        coalesce(customers.is_deleted, false) as is_deleted,
        coalesce(customers.has_unparsable_signup_date, false) as has_unparsable_signup_date,
        customers.signup_date,
        customers.created_at,
        customers.updated_at
    from members
    left join customers on members.customer_id = customers.customer_id
    left join places
        on
            places.place_key
            = {{ hash_key(['customers.country', 'customers.state', 'customers.city']) }}
    left join purchases
        on coalesce(members.customer_id, '') = coalesce(purchases.customer_id, '')
)

select * from final
