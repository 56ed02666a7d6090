-- One row an active company, component and day: its points as first calculated that day, never
-- rewritten; what `company_health_history` tells of the score, this tells of its reasons.
{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='fail',
        full_refresh=false,
        claims_loads=false,
        indexes=indexed([
            ['company_health_component_history_key'], ['company_id', 'as_of_date'],
        ])
    )
}}

with components as (
    select
        company_health_component_key,
        company_id,
        component,
        points,
        reason,
        calculated_at,
        cast(calculated_at as date) as as_of_date
    from {{ ref('company_health_components') }}
),

stored as (
    {{ stored_rows({
        'company_id': 'text',
        'component': 'text',
        'as_of_date': 'date',
    }) }}
),

final as (
    select
        {{ hash_key(['components.company_health_component_key', 'components.as_of_date']) }}
            as company_health_component_history_key,
        components.company_id,
        components.component,
        components.as_of_date,
        components.points,
        components.reason,
        components.calculated_at
    from components
    left join stored
        on
            components.company_id = stored.company_id
            and components.component = stored.component
            and components.as_of_date = stored.as_of_date
    where stored.company_id is null
)

select * from final
