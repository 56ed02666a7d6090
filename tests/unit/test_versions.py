"""One order of versions: that of Python's queries is that of dbt's models."""

import re
from pathlib import Path

from ledger.versions import newest_first

MACRO = Path(__file__).parents[2] / "macros" / "incremental" / "current_state.sql"


def test_python_and_dbt_order_versions_alike() -> None:
    body = MACRO.read_text().split("macro version_order(")[1].split("endmacro")[0]
    listed = re.search(r"for column in \[(.*?)\]", body)
    assert listed is not None
    columns = [column.strip().strip("'") for column in listed[1].split(",")]
    assert newest_first(is_deleted="is_deleted") == ", ".join(f"{one} desc" for one in columns)


def test_what_has_no_version_is_ordered_by_when_it_was_received() -> None:
    assert newest_first(None).startswith("_received_at desc, _row_hash desc, _is_deleted desc")
