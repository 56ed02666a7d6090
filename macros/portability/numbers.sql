{#-
    An exact number (an integer, or a decimal of up to 6 places) by a whole number, rounded half up
    (half away from zero when negative) to 6 places by integer arithmetic: the same on every engine.
    Null when the denominator is null or not positive.
-#}
{% macro exact_ratio(numerator, denominator) -%}
    {{ return(adapter.dispatch('exact_ratio', 'warehouse')(numerator, denominator)) }}
{%- endmacro %}

{% macro default__exact_ratio(numerator, denominator) -%}
    case
        when {{ denominator }} > 0
            then cast(
                cast(
                    sign({{ numerator }}) * (
                        (
                            cast(cast(abs({{ numerator }}) as decimal(28, 6)) * 1000000 as hugeint) * 2
                            + cast({{ denominator }} as hugeint)
                        ) // (cast({{ denominator }} as hugeint) * 2)
                    ) as decimal(28, 0)
                ) * 0.000001 as decimal(28, 6)
            )
    end
{%- endmacro %}

{% macro postgres__exact_ratio(numerator, denominator) -%}
    case
        when {{ denominator }} > 0
            then cast(
                sign({{ numerator }}) * div(
                    cast(abs({{ numerator }}) as numeric) * 1000000 * 2
                    + cast({{ denominator }} as numeric),
                    cast({{ denominator }} as numeric) * 2
                ) * 0.000001 as numeric(28, 6)
            )
    end
{%- endmacro %}


{#- An exact number rounded half up to an integer. -#}
{% macro round_half_up(number) -%}
    cast(floor({{ number }} + 0.5) as bigint)
{%- endmacro %}


{#-
    A whole number as a decimal, so that its product with a price is exact. 19 digits, though 10 are
    used: the product of two decimals of 18 digits or less overflows at 18 digits in DuckDB.
-#}
{% macro exact_integer(column) -%}
    cast({{ column }} as decimal(19, 0))
{%- endmacro %}


{#- Product of two decimals of up to 14 and 12 digits before the point, rounded half up to 6 places. -#}
{% macro exact_product(left, right) -%}
    cast(round(cast({{ left }} as decimal(20, 6)) * {{ right }}, 6) as decimal(28, 6))
{%- endmacro %}
