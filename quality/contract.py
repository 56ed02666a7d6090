"""The contract of raw as dbt knows it: source files ─▶ columns and types by table.

The files are generated from the loaders' contracts, so that nothing of the loaders is imported.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

STAGING = Path(__file__).parents[1] / "models" / "staging"
ROW = "_row_hash"
"""Names a record of raw by its bytes; the last key of every rule about records."""
ENTITY_SOURCES = ("crm", "commerce", "support", "events")


@dataclass(frozen=True)
class RawContract:
    """One raw table: data types by column."""

    table: str
    """With its schema: `raw.commerce__orders`."""
    source: str
    columns: dict[str, str]

    @property
    def keys(self) -> tuple[str, ...]:
        """What names a row: the record's ids, and its bytes."""
        ids = ("order_id", "id") if "order_id" in self.columns else ("id",)
        return (*ids, ROW)


@cache
def raw_contracts() -> tuple[RawContract, ...]:
    """The tables of entities; those that the landing keeps for itself are not judged here."""
    found = []
    for source in ENTITY_SOURCES:
        path = STAGING / source / f"_{source}__sources.yml"
        (described,) = yaml.safe_load(path.read_text(encoding="utf-8"))["sources"]
        for table in described["tables"]:
            columns = {column["name"]: column["data_type"] for column in table["columns"]}
            if "id" in columns:
                found.append(RawContract(f"raw.{table['identifier']}", source, columns))
    return tuple(found)
