"""What the project puts in place of an adapter's macro gives what the adapter's own gives."""

import json

import pytest
from dbt.adapters.sql import SQLAdapter

from ledger.settings import Settings
from loaders.target import Target
from operations.dbt_runner import build, invoke, parse

ODD = (
    "create table core.odd (gone text, a varchar(10), b char(3), c numeric(5, 2), d numeric,"
    ' "E" text, f timestamptz, g integer, h double precision, i jsonb, j interval)',
    "alter table core.odd drop column gone",
)
COMPARED = """
{%- set compared = [] -%}
{%- for schema, name in [('core', 'odd'), ('working_core', 'fct_sales'), ('core', 'absent')] -%}
    {%- set of = api.Relation.create(database=target.database, schema=schema, identifier=name) -%}
    {%- for columns in (
        postgres__get_columns_in_relation(of), dbt.postgres__get_columns_in_relation(of)
    ) -%}
        {%- set described = [] -%}
        {%- for column in columns -%}
            {%- do described.append([
                column.name, column.dtype, column.char_size,
                column.numeric_precision | int if column.is_numeric() else none, column.data_type,
            ]) -%}
        {%- endfor -%}
        {%- do compared.append(described) -%}
    {%- endfor -%}
{%- endfor -%}
{{ tojson(compared) }}
"""
RAW_COLUMNS = """
    select table_name, column_name, data_type from information_schema.columns
    where table_schema = 'raw' order by table_name, column_name
"""


@pytest.mark.parametrize("built_settings", ["postgres"], indirect=True)
def test_columns_are_those_of_the_adapter(built_settings: Settings) -> None:
    Target(built_settings).execute(*ODD)
    manifest = parse(built_settings)
    outcome = invoke(built_settings, ["compile", "--inline", COMPARED], manifest=manifest)
    assert outcome.success, outcome.exception
    (result,) = outcome.result.results  # type: ignore[union-attr]
    odd, odd_by_adapter, facts, facts_by_adapter, absent, absent_by_adapter = json.loads(
        result.node.compiled_code
    )
    assert odd == odd_by_adapter
    assert facts == facts_by_adapter
    assert absent == absent_by_adapter == []
    assert [name for name, *_ in odd] == ["a", "b", "c", "d", "E", "f", "g", "h", "i", "j"]
    assert "total_amount" in [name for name, *_ in facts]


def test_raw_gains_what_it_lacks(built_settings: Settings) -> None:
    target = Target(built_settings)
    before = target.fetch(RAW_COLUMNS)
    target.execute(
        "alter table raw.crm__companies drop column industry cascade",
        "alter table raw.crm__companies drop column domain cascade",
        "drop table raw.crm__users cascade",
    )
    assert len(target.fetch(RAW_COLUMNS)) < len(before) - 2
    assert build(built_settings, ("country_aliases",), command="seed").succeeded
    assert target.fetch(RAW_COLUMNS) == before


def test_schemas_that_are_there_are_not_created_anew(
    built_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[str] = []
    monkeypatch.setattr(
        SQLAdapter, "create_schema", lambda _, relation: created.append(relation.schema)
    )
    assert build(
        built_settings, ["stg_crm__users", "company_health_metrics"], command="run"
    ).succeeded
    assert created == []
