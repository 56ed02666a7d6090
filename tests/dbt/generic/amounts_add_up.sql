{#- Fails on a row whose total less discount is not its net amount. -#}
{% test amounts_add_up(model, total, discount, net) %}

select * from {{ model }}
where {{ total }} - {{ discount }} <> {{ net }}

{% endtest %}
