"""What builds have written since the last publication: notes of the builds ─▶ tables and keys.

Builds note, in the transaction of their rows, each mart that they write as a whole
(`operations.unpublished_models`), and of the others the keys of the rows that they write or delete
(`operations.unpublished_keys`; see macros/incremental/publishing.sql). Bringing the rows of a noted
key up to date can be repeated; a note may be removed late, and never before readers see its rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MODELS = "operations.unpublished_models"
KEYS = "operations.unpublished_keys"
NOTES = f"""
select schema_name, model, null, 0 from {MODELS}
union all
select
    schema_name,
    model,
    case when count(*) = count(key_value) then key_column end,
    count(distinct key_value)
from {KEYS}
group by schema_name, model, key_column
"""
TEXT = ("text", "VARCHAR")
"""Keys are noted as text: a column of another type has to be compared as a whole."""
ROWS_A_KEY = 10
"""With fewer rows than that for each noted key, a table is published as a whole."""


@dataclass(frozen=True)
class Change:
    """How far a table may differ from what readers see: rows of some keys, or all rows."""

    key_column: str | None = None
    keys: int = 0

    def by_key(self, columns: Mapping[str, str], rows: int) -> str | None:
        """The column by whose noted keys to publish the table; None: as a whole."""
        column = self.key_column
        few = self.keys * ROWS_A_KEY <= rows
        return column if column and few and columns.get(column) in TEXT else None


def changes(notes: Iterable[tuple[str, str, str | None, int]]) -> dict[tuple[str, str], Change]:
    """By schema and name what rows of `NOTES` say; a table noted twice is noted as a whole."""
    found: dict[tuple[str, str], Change] = {}
    for schema, name, key_column, keys in notes:
        change = Change(key_column, keys) if (schema, name) not in found else Change()
        found[schema, name] = change
    return found
