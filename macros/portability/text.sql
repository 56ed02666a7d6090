{#-
    What counts as blank: space, tab, line feed, vertical tab, form feed, carriage return. As characters,
    because engines read the escapes and classes of regular expressions differently.
-#}
{% macro blanks() -%}
    ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13)
{%- endmacro %}


{#- Text without the blanks around it. -#}
{% macro trimmed(column) -%}
    trim(both {{ blanks() }} from {{ column }})
{%- endmacro %}


{#- Text without surrounding blanks; null when nothing is left. -#}
{% macro clean_text(column) -%}
    nullif({{ trimmed(column) }}, '')
{%- endmacro %}


{#- An email address: trimmed, lower case; null when nothing is left. -#}
{% macro clean_email(column) -%}
    lower({{ clean_text(column) }})
{%- endmacro %}


{#- A currency: trimmed, upper case; null when nothing is left. -#}
{% macro clean_currency(column) -%}
    upper({{ clean_text(column) }})
{%- endmacro %}


{#- A phone number: its digits; null when it has none. -#}
{% macro clean_phone(column) -%}
    nullif(regexp_replace({{ column }}, '[^0-9]', '', 'g'), '')
{%- endmacro %}


{#- A name: single-spaced, each word (between blanks) with a capital first letter, the rest lower. -#}
{% macro clean_name(column) -%}
    {%- set single_spaced = "regexp_replace(" ~ trimmed(column) ~ ", '[' || " ~ blanks() ~ " || ']+', ' ', 'g')" -%}
    nullif({{ capitalise_words(single_spaced) }}, '')
{%- endmacro %}


{% macro capitalise_words(text) -%}
    {{ return(adapter.dispatch('capitalise_words', 'warehouse')(text)) }}
{%- endmacro %}

{% macro default__capitalise_words(text) -%}
    array_to_string(
        list_transform(
            string_split(lower({{ text }}), ' '), lambda word: upper(left(word, 1)) || substr(word, 2)
        ),
        ' '
    )
{%- endmacro %}

{% macro postgres__capitalise_words(text) -%}
    (
        select string_agg(upper(left(words.word, 1)) || substr(words.word, 2), ' ' order by words.nr)
        from unnest(string_to_array(lower({{ text }}), ' ')) with ordinality as words (word, nr)
    )
{%- endmacro %}


{#- Whether a text matches a regular expression somewhere. -#}
{% macro matches(text, pattern) -%}
    {{ return(adapter.dispatch('matches', 'warehouse')(text, pattern)) }}
{%- endmacro %}

{% macro default__matches(text, pattern) -%}
    regexp_matches({{ text }}, '{{ pattern }}')
{%- endmacro %}

{% macro postgres__matches(text, pattern) -%}
    ({{ text }} ~ '{{ pattern }}')
{%- endmacro %}


{#- The day that an ISO 8601 date or time writes; null for anything else and for days that are none. -#}
{% macro parse_date(column) -%}
    {%- set iso = trimmed(column) -%}
    {%- set month = "cast(substr(" ~ iso ~ ", 6, 2) as integer)" -%}
    {%- set year = "cast(substr(" ~ iso ~ ", 1, 4) as integer)" -%}
    {%- set day = "cast(substr(" ~ iso ~ ", 9, 2) as integer)" -%}
    case
        when not {{ matches(iso, '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])($|[T ])') }} then null
        when {{ year }} = 0 then null
        when {{ month }} in (4, 6, 9, 11) and {{ day }} > 30 then null
        when {{ month }} = 2 and {{ day }} > 29 then null
        when
            {{ month }} = 2
            and {{ day }} = 29
            and not (
                {{ year }} % 4 = 0
                and ({{ year }} % 100 <> 0 or {{ year }} % 400 = 0)
            )
            then null
        else cast(substr({{ iso }}, 1, 10) as date)
    end
{%- endmacro %}


{#- Surrogate key of natural ids: a hash of their texts. All of them null: the unknown member. -#}
{% macro hash_key(columns) -%}
    {%- set texts = [] -%}
    {%- for column in columns -%}
        {%- set text = "coalesce(cast(" ~ column ~ " as text), '')" -%}
        {#- Every part but the last says how long it is: no two lists of parts read alike. -#}
        {%- do texts.append(text if loop.last else "cast(length(" ~ text ~ ") as text) || ':' || " ~ text) -%}
    {%- endfor -%}
    md5({{ texts | join(" || ") }})
{%- endmacro %}


{#- Key of the unknown member of a dimension whose natural id has the given number of parts. -#}
{% macro unknown_key(parts=1) -%}
    {{ hash_key(['null'] * parts) }}
{%- endmacro %}


{#- One row an element of a text separated by `|`: a lateral source for a from clause. -#}
{% macro split_rows(column, alias) -%}
    {{ return(adapter.dispatch('split_rows', 'warehouse')(column, alias)) }}
{%- endmacro %}

{% macro default__split_rows(column, alias) -%}
    unnest(string_split({{ column }}, '|')) as {{ alias }} (part)
{%- endmacro %}

{% macro postgres__split_rows(column, alias) -%}
    unnest(string_to_array({{ column }}, '|')) as {{ alias }} (part)
{%- endmacro %}
