"""Rows of raw ─▶ the records that they were made of, in the shape of their contract.

The opposite way of `arrow.py`: nested fields are nested again, the rows of child tables are lists
again, what the contract did not know is put back from `_extra`. The bytes are not those that came
(times are in UTC, absent fields are null), but the same row gives the same bytes each time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from ledger.versions import newest_first
from loaders.columns import POSITION, Column, RawTable, tables_of
from loaders.contracts import Entity
from loaders.decoding import encode_json
from loaders.knowledge import COMPLETE, IDS_A_QUERY
from loaders.target import RAW, Target

_JSON = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True)
class RawRecord:
    """One record of raw, by its row."""

    id: str
    row_hash: str
    values: dict[str, Any]
    position: str | None
    """Where it lay in its topic, as JSON text."""

    @property
    def payload(self) -> bytes:
        """The record as JSON."""
        return encode_json(self.values).encode()


@dataclass(frozen=True)
class NewestRow:
    """The row of a record's newest version."""

    row_hash: str
    is_of_newest_day: bool
    """Whether expectations judge it: raw is judged by its newest day of rows."""


def read_records(target: Target, entity: Entity, row_hashes: Sequence[str]) -> Iterator[RawRecord]:
    """The records of these rows, in no order; of a row that landed again, as it landed last."""
    own, *children = tables_of(entity)
    for start in range(0, len(row_hashes), IDS_A_QUERY):
        some = row_hashes[start : start + IDS_A_QUERY]
        items = {child.list_field: _items(target, child, some) for child in children}
        for row_hash, row in {row["_row_hash"]: row for row in _rows(target, own, some)}.items():
            values = _record(own, row)
            for field, by_record in items.items():
                assert field is not None
                values[field] = by_record.get(row_hash, [])
            _put_back(values, _decoded(row["_extra"]))
            yield RawRecord(values["id"], row_hash, values, _position(row, entity))


def newest_rows(target: Target, entity: Entity, ids: Sequence[str]) -> dict[str, NewestRow]:
    """The newest version of each record that raw has, by id."""
    own = tables_of(entity)[0]
    has_version = any(column.name == "updated_at" for column in own.columns)
    order = newest_first("updated_at" if has_version else None)
    place = f"{RAW}.{own.name}"
    found: dict[str, NewestRow] = {}
    for start in range(0, len(ids), IDS_A_QUERY):
        some = ids[start : start + IDS_A_QUERY]
        rows = target.fetch(
            "select id, _row_hash,"
            f" _received_at >= (select max(_received_at) from {place}) - interval '1 day'"
            " from (select id, _row_hash, _received_at,"
            f" row_number() over (partition by id order by {order}) as version_rank"
            f" from {place} where {COMPLETE} and id in ({_marks(some)})) as versions"
            " where version_rank = 1",
            some,
        )
        found |= {id: NewestRow(row_hash, newest_day) for id, row_hash, newest_day in rows}
    return found


def _rows(target: Target, table: RawTable, row_hashes: Sequence[str]) -> list[dict[str, Any]]:
    """Rows as mappings; a column that the table does not have yet is null."""
    present = target.fetch(
        "select column_name from information_schema.columns"
        f" where table_schema = '{RAW}' and table_name = ?",
        (table.name,),
    )
    names = [column.name for column in table.columns]
    selected = [name if (name,) in present else f"null as {name}" for name in names]
    rows = target.fetch(
        f"select {', '.join(selected)} from {RAW}.{table.name}"
        f" where {COMPLETE} and _row_hash in ({_marks(row_hashes)}) order by _received_at",
        row_hashes,
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def _items(
    target: Target, child: RawTable, row_hashes: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Items by the row of their record, in the order of their ids: raw does not know theirs."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in _rows(target, child, row_hashes):
        item = _record(child, row)
        _put_back(item, _decoded(row["_extra"]))
        found.setdefault(row["_row_hash"], {})[item["id"]] = item
    return {row_hash: [items[id] for id in sorted(items)] for row_hash, items in found.items()}


def _record(table: RawTable, row: dict[str, Any]) -> dict[str, Any]:
    """Columns of the contract, nested as they came; a nested record without values is null."""
    record: dict[str, Any] = {}
    for column in table.columns:
        if not column.path or column.of_parent:
            continue
        *outer, name = column.path
        place = record
        for part in outer:
            place = place.setdefault(part, {})
        place[name] = _plain(column, row[column.name])
    for name in {column.path[0] for column in table.columns if len(column.path) > 1}:
        if not any(value is not None for value in record[name].values()):
            record[name] = None
    return record


def _plain(column: Column, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return _decoded(value) if column.is_json else value


def _decoded(text: str | None) -> Any:
    return None if text is None else _JSON.decode(text)


def _put_back(record: dict[str, Any], extra: dict[str, Any] | None) -> None:
    for name, value in (extra or {}).items():
        if isinstance(record.get(name), dict) and isinstance(value, dict):
            _put_back(record[name], value)
        elif record.get(name) is None:
            record[name] = value


def _position(row: dict[str, Any], entity: Entity) -> str | None:
    if not entity.is_streamed:
        return None
    return encode_json({column.name.lstrip("_"): row[column.name] for column in POSITION})


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
