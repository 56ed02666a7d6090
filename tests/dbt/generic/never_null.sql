{#- Fails on a row that lacks a value in one of the columns: one scan for all that a model requires. -#}
{% test never_null(model, columns) %}

select * from {{ model }}
where
    {{ columns | join(' is null\n    or ') }} is null

{% endtest %}
