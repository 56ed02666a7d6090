{#-
    Select of the orders that the claimed loads bring a version of, whether or not it is the latest. An
    item never comes without its order. For a pre-hook: loads are named, so that an index finds them.
-#}
{% macro touched_orders() -%}
    select distinct order_id from {{ ref('stg_commerce__orders') }}
    where {{ claimed_by_name() }}
{%- endmacro %}


{#-
    Select of what any version of a touched order says, not the newest alone: an order may have moved to
    another day, or changed hands. On a first build of all orders.
-#}
{% macro versions_of_touched_orders(columns) -%}
    select distinct {{ columns }} from {{ ref('stg_commerce__orders') }}
    where
        {{ claimed_by(this) }}
        {%- if adds_to_existing_rows() %}
        and {{ is_found_by('order_id', touched_orders()) }}
        {%- endif %}
{%- endmacro %}


{#- Select of the days that touched orders were placed on, in any of their versions. -#}
{% macro touched_days() -%}
    {{ versions_of_touched_orders('cast(ordered_at as date) as order_date') }}
{%- endmacro %}


{#-
    Orders whose facts carry another company than their customer has now, among the customers that
    the claimed loads brought: a customer may arrive, or change company, after the order.
-#}
{% macro union_orders_of_moved_customers() -%}
    {%- set customers = ref('int_customers__current') -%}
    {%- set orders = ref('int_orders__current') -%}
    {%- if adds_to_existing_rows() %}
    union
    select existing.order_id
    from (select * from {{ customers }} where {{ claimed() }}) as customers
    inner join (select * from {{ orders }}) as orders
        on customers.customer_id = orders.customer_id
    inner join {{ this }} as existing on orders.order_id = existing.order_id
    where
        existing.company_key <> {{ hash_key(['customers.company_id']) }}
    {%- endif -%}
{%- endmacro %}


{#-
    Post-hook of fct_sales. Rows are replaced order by order; what is left to delete are the items of
    an order that has lost them all. Cheap when no claimed load removed an item.
-#}
{% macro delete_removed_items() -%}
    {{ note_unpublished_keys_sql('order_id', '(' ~ removed_items('order_id') ~ ') as removed') }}
    delete from {{ this }}
    where
        order_id in ({{ removed_items('order_id') }})
        and sales_key in ({{ removed_items('order_item_key') }})
{%- endmacro %}


{#- Post-hook of int_orders__sales: orders that hold no item any more. -#}
{% macro delete_emptied_orders() -%}
    delete from {{ this }}
    where
        order_id in ({{ removed_items('order_id') }})
        and order_id not in (
            select order_id from {{ ref('fct_sales') }}
            where order_id in ({{ removed_items('order_id') }})
        )
{%- endmacro %}


{#- Select of one column of the items that a claimed load removed from their order. -#}
{% macro removed_items(column) -%}
    select {{ column }} from {{ ref('int_order_items__current') }}
    where is_removed and {{ claimed() }}
{%- endmacro %}
