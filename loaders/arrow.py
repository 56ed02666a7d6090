"""Decoded records ─▶ Arrow tables, one a raw table, in the columns of `columns.py`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import pyarrow as pa

from ledger.dead_letters import letter_id
from loaders.columns import DEAD_LETTERS, Column, RawTable, tables_of
from loaders.contracts import MONEY_PRECISION, MONEY_SCALE, Entity
from loaders.decoding import DeadLetter, DecodedPage, encode_json
from loaders.garbage import search_paused

ARROW_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "double precision": pa.float64(),
    f"numeric({MONEY_PRECISION},{MONEY_SCALE})": pa.decimal128(MONEY_PRECISION, MONEY_SCALE),
}
LOAD_ID = "_dlt_load_id"


def arrow_schema(table: RawTable) -> pa.Schema:
    """Arrow schema of a raw table, without the load id, which dlt adds."""
    columns = [c for c in table.columns if c.name != LOAD_ID]
    return pa.schema([(c.name, ARROW_TYPES[c.data_type]) for c in columns])


class TableBuilder:
    """Builds the Arrow tables of one entity."""

    def __init__(self, entity: Entity) -> None:
        self._entity = entity
        self._own, *self._children = tables_of(entity)

    @search_paused()
    def build(
        self,
        page: DecodedPage,
        received_at: datetime | Sequence[datetime],
        *,
        deleted: bool | Sequence[bool] = False,
        position: Mapping[str, Sequence[Any]] | None = None,
    ) -> dict[str, pa.Table]:
        """Tables of a page, by name; none for a nested list without items.

        `received_at` and `deleted` are one value for all or one a record; `position` holds the
        values of `columns.POSITION`, for an entity that has them.
        """
        count = len(page.records)
        if not count:
            return {}
        received = received_at if isinstance(received_at, Sequence) else [received_at] * count
        gone = deleted if isinstance(deleted, Sequence) else [deleted] * count
        extras = [_encode(_own_extra(extra, self._children)) for extra in page.extras]
        meta = _metadata(extras, page.hashes, gone, received) | dict(position or {})
        tables = {self._own.name: _table(self._own, page.records, meta, page.records)}
        for child in self._children:
            table = self._build_child(child, page, received, gone)
            if table.num_rows:
                tables[child.name] = table
        return tables

    def _build_child(
        self,
        child: RawTable,
        page: DecodedPage,
        received: Sequence[datetime],
        deleted: Sequence[bool],
    ) -> pa.Table:
        field = child.list_field
        assert field is not None
        places: list[int] = []
        items: list[Any] = []
        extras: list[str | None] = []
        for place, (record, extra) in enumerate(zip(page.records, page.extras, strict=True)):
            own = getattr(record, field)
            places.extend([place] * len(own))
            items.extend(own)
            found = extra.get(field) if extra else None
            extras.extend(map(_encode, found) if found else [None] * len(own))
        meta = _metadata(
            extras,
            [page.hashes[place] for place in places],
            [deleted[place] for place in places],
            [received[place] for place in places],
        )
        return _table(child, items, meta, [page.records[place] for place in places])


def dead_letter_table(
    entity: Entity,
    letters: Sequence[DeadLetter],
    seen_at: datetime,
    positions: Sequence[str | None] | None = None,
) -> pa.Table:
    """Rows of `raw.dead_letters`; the id is the same whenever the same bytes come again."""
    rows = []
    for place, letter in enumerate(letters):
        payload, encoding = letter.encoded()
        rows.append(
            {
                "dead_letter_id": letter_id(entity.source, entity.name, letter.payload),
                "source": entity.source,
                "entity": entity.name,
                "record_id": letter.record_id,
                "error": letter.error,
                "payload": payload,
                "payload_encoding": encoding,
                "position": positions[place] if positions else None,
                "first_seen_at": seen_at,
            }
        )
    return pa.Table.from_pylist(rows, schema=arrow_schema(DEAD_LETTERS))


def _table(
    table: RawTable, rows: Sequence[Any], meta: dict[str, Any], parents: Sequence[Any]
) -> pa.Table:
    """Columns of the contract come from `rows`, keys of a child table from its `parents`."""
    arrays = []
    schema = arrow_schema(table)
    for column in table.columns:
        if column.name == LOAD_ID:
            continue
        if column.name in meta:
            values = meta[column.name]
        else:
            values = _values(column, parents if column.of_parent else rows)
        kind = schema.field(column.name).type
        if pa.types.is_decimal(kind):
            arrays.append(pa.array(values, pa.string()).cast(kind))
        elif column.is_json:
            arrays.append(pa.array(map(_encode, values), kind))
        else:
            arrays.append(pa.array(values, kind))
    return pa.Table.from_arrays(arrays, schema=schema)


def _values(column: Column, rows: Sequence[Any]) -> list[Any]:
    first, *rest = column.path
    values = list(map(attrgetter(first), rows))
    for name in rest:
        getter = attrgetter(name)
        values = [None if value is None else getter(value) for value in values]
    return values


def _metadata(
    extras: Sequence[str | None],
    hashes: Sequence[str],
    deleted: Sequence[bool],
    received_at: Sequence[datetime],
) -> dict[str, Any]:
    return {
        "_extra": extras,
        "_row_hash": hashes,
        "_is_deleted": deleted,
        "_received_at": received_at,
    }


def _own_extra(extra: dict[str, Any] | None, children: Sequence[RawTable]) -> Any:
    if not extra:
        return None
    lists = {child.list_field for child in children}
    return {key: value for key, value in extra.items() if key not in lists} or None


def _encode(extra: Any) -> str | None:
    return None if extra is None else encode_json(extra)
