{#- Orders whose facts must be computed anew: see fct_sales. Rendered only in an incremental run. -#}

{#-
    Orders whose facts carry another company than their customer has now, among the customers that
    the claimed loads brought: a customer may arrive, or change company, after the order.
-#}
{% macro union_orders_of_moved_customers() -%}
    {%- set customers = ref('int_customers__current') -%}
    {%- if adds_to_existing_rows() -%}
    union
    select existing.order_id
    from {{ this }} as existing
    inner join {{ customers }} as customers
        on existing.customer_key = {{ hash_key(['customers.customer_id']) }}
    where
        {{ claimed('customers._dlt_load_id') }}
        and existing.company_key <> {{ hash_key(['customers.company_id']) }}
    {%- endif -%}
{%- endmacro %}


{#- Post-hook of fct_sales: items that the latest version of their order no longer holds. -#}
{% macro delete_removed_items() -%}
    delete from {{ this }}
    where sales_key in (
        select items.order_item_key
        from {{ ref('int_order_items__current') }} as items
        where items.is_removed and {{ claimed('items._dlt_load_id') }}
    )
{%- endmacro %}


{#- Post-hook of int_orders__sales: orders that hold no item any more. -#}
{% macro delete_emptied_orders() -%}
    delete from {{ this }}
    where order_id in (
        select items.order_id
        from {{ ref('int_order_items__current') }} as items
        where {{ claimed('items._dlt_load_id') }}
        group by items.order_id
        having min(case when items.is_removed then 1 else 0 end) = 1
    )
{%- endmacro %}
