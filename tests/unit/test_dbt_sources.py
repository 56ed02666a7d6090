"""The dbt source files are those that the contracts give."""

from pathlib import Path

import yaml

from loaders.arrow import LOAD_ID, arrow_schema
from loaders.columns import tables_of
from loaders.contracts import ENTITIES
from loaders.dbt_sources import source_files, write

ROOT = Path(__file__).parents[2]


def test_no_file_is_stale() -> None:
    stale = [str(p) for p, text in source_files().items() if (ROOT / p).read_text() != text]
    assert not stale, "run `make contracts`"


def test_files_are_written_once(tmp_path: Path) -> None:
    assert set(write(tmp_path)) == set(source_files())
    assert write(tmp_path) == []


def test_every_column_is_described() -> None:
    for text in source_files().values():
        for table in yaml.safe_load(text)["sources"][0]["tables"]:
            assert table["description"]
            assert all(c["description"] and c["data_type"] for c in table["columns"]), table["name"]


def test_columns_are_flat_unique_and_typed() -> None:
    for entity in ENTITIES:
        own, *children = tables_of(entity)
        assert len(children) == len(entity.children)
        for table in (own, *children):
            names = [column.name for column in table.columns]
            assert len(names) == len(set(names))
            assert [*arrow_schema(table).names, LOAD_ID] == names
    names = {column.name for column in tables_of(ENTITIES[5])[0].columns}
    assert {"shipping_address_city", "shipping_address_zip_code", "_extra"} <= names
    assert "items" not in names
