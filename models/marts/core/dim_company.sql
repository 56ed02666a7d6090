-- One row a company, known, only seen elsewhere (inferred), or unknown; with its account.
with companies as (
    select * from {{ ref('int_companies__current') }}
),

accounts as (
    select * from {{ ref('int_accounts__current') }}
),

members as (
    select company_id from companies
    union
    select company_id from {{ ref('int_companies__seen') }}
    union
    select cast(null as text) as company_id
),

final as (
    select
        {{ hash_key(['members.company_id']) }} as company_key,
        members.company_id,
        companies.account_id,
        companies.company_name,
        accounts.account_name,
        accounts.plan,
        companies.domain,
        companies.industry,
        companies.country,
        coalesce(companies.is_active, false) as is_active,
        members.company_id is null as is_unknown,
        members.company_id is not null and companies.company_id is null as is_inferred,
        coalesce(companies.is_deleted, false) as is_deleted,
        companies.created_at,
        companies.updated_at
    from members
    left join companies on members.company_id = companies.company_id
    left join accounts on companies.account_id = accounts.account_id
)

select * from final
