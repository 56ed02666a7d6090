"""Raw columns: what a contract looks like as a table.

contract class ─▶ columns (nested structs flattened with `_`, nested lists in child tables) ─▶
dlt / Arrow schemas, the DDL of an empty warehouse and the dbt source files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import msgspec.inspect as inspect

from loaders.contracts import Entity


@dataclass(frozen=True)
class Column:
    """One raw column; `path` is where its value lies in the decoded record (empty: metadata)."""

    name: str
    data_type: str
    """Portable SQL type: text, bigint, boolean, timestamptz or numeric(p,s)."""
    description: str
    path: tuple[str, ...] = ()
    of_parent: bool = False
    """In a child table: whether the value is the parent record's."""
    is_json: bool = False
    """Whether a value of any shape is kept as JSON text."""


@dataclass(frozen=True)
class RawTable:
    """One table of the raw log; `list_field` names the nested list whose items are its rows."""

    name: str
    description: str
    columns: tuple[Column, ...]
    list_field: str | None = None


METADATA = (
    Column("_extra", "text", "Fields that the contract does not know, as JSON text; null if none."),
    Column("_row_hash", "text", "Hash of the record's bytes; breaks ties between versions."),
    Column("_is_deleted", "boolean", "True on the version that says the record is gone."),
    Column("_received_at", "timestamptz", "When the warehouse received the record."),
    Column("_dlt_load_id", "text", "dlt load that landed the row; see `raw._dlt_loads`."),
)
ORDER_KEYS = {
    "order_items": (
        Column("order_id", "text", "Order that the item belongs to.", ("id",), True),
        Column("order_updated_at", "timestamptz", "Order's version.", ("updated_at",), True),
    )
}
DEAD_LETTERS = RawTable(
    "dead_letters",
    "One row a record that broke its contract, kept with its bytes; never blocks the good ones.",
    (
        Column("dead_letter_id", "text", "Hash of source, entity and bytes: one a bad record."),
        Column("source", "text", "Source that sent the record."),
        Column("entity", "text", "Entity it was sent as."),
        Column("record_id", "text", "Id of the record if one could be read, else null."),
        Column("error", "text", "Which field broke which rule, and its value."),
        Column("payload", "text", "The record's bytes as text, or in base64."),
        Column("payload_encoding", "text", "How `payload` gives the bytes: utf-8 or base64."),
        Column("position", "text", "Topic, partition and offset of a message, as JSON text."),
        Column("first_seen_at", "timestamptz", "When the load that holds this row received it."),
        METADATA[-1],
    ),
)
CITIES = RawTable(
    "reference__cities",
    "One row a city of 15,000 people or more and load of the GeoNames library.",
    (
        Column("geoname_id", "text", "GeoNames id of the city."),
        Column("city", "text", "Name of the city."),
        Column("alternate_names", "text", "Other spellings, separated by `|`."),
        Column("country_code", "text", "ISO 3166 code of the country, two letters."),
        Column("admin1_code", "text", "GeoNames code of the state or province."),
        Column("latitude", "double precision", "Degrees north."),
        Column("longitude", "double precision", "Degrees east."),
        Column("population", "bigint", "Inhabitants; the larger city wins a shared name."),
        Column("library_version", "text", "Version of the library that the row came from."),
        METADATA[-1],
    ),
)
COUNTRIES = RawTable(
    "reference__countries",
    "One row a country and load of the GeoNames library.",
    (
        Column("country_code", "text", "ISO 3166 code, two letters."),
        Column("country_code_3", "text", "ISO 3166 code, three letters."),
        Column("country", "text", "Name of the country."),
        Column("continent_code", "text", "Continent, two letters."),
        Column("library_version", "text", "Version of the library that the row came from."),
        METADATA[-1],
    ),
)
DLT_LOADS = RawTable(
    "_dlt_loads",
    "One row a completed load: its rows may be read. Written by dlt when every job is done.",
    (
        Column("load_id", "text", "Id of the load."),
        Column("schema_name", "text", "dlt schema, one a source."),
        Column("status", "bigint", "0: complete."),
        Column("inserted_at", "timestamptz", "When the load was completed."),
        Column("schema_version_hash", "text", "Version of the dlt schema."),
    ),
)
SYNC_CURSORS = RawTable(
    "sync_cursors",
    "One row an entity and pass of a sync: its figures and how far the data is complete. It lands"
    " in the same load as the records, so that a cursor can never be ahead of them.",
    (
        Column("source", "text", "Source that was synced."),
        Column("entity", "text", "Entity that was synced."),
        Column("run_id", "text", "Run of the ledger that the figures belong to."),
        Column("received", "bigint", "Records received."),
        Column("landed", "bigint", "Records that became rows of raw."),
        Column("duplicate", "bigint", "Records dropped because the same bytes are there."),
        Column("dead", "bigint", "Records that became dead letters."),
        Column("deleted", "bigint", "Records no longer served, landed as deleted."),
        Column("cursor_at", "timestamptz", "Largest version of complete data; null: none yet."),
        Column("error", "text", "Why the pass ended early; null if it did not."),
        METADATA[-1],
    ),
)
POSITION = (
    Column("_topic", "text", "Topic that the message came from."),
    Column("_partition", "bigint", "Partition of the topic."),
    Column("_offset", "bigint", "Offset in the partition."),
)
"""Where a message of a topic lay; columns of the entity's table, beside `METADATA`."""
EVENTS_WEBHOOK = RawTable(
    "events_webhook",
    "One row a webhook event that carries no entity of the contracts, untouched.",
    (
        Column("source", "text", "Source that sent the event."),
        Column("event_id", "text", "Id of the event; one a source."),
        Column("event_type", "text", "Type of the event, as sent."),
        Column("payload", "text", "The body, as sent."),
        METADATA[-2],
        METADATA[-1],
    ),
)
INBOX_BATCHES = RawTable(
    "inbox_batches",
    "One row a batch of the ledger's inbox. It lands in the same load as the batch's events, so"
    " that a batch is known to be here or not.",
    (
        Column("batch_id", "text", "Id of the batch in the ledger."),
        Column("events", "bigint", "Events of the batch."),
        METADATA[-1],
    ),
)
STREAM_OFFSETS = RawTable(
    "stream_offsets",
    "One row a partition and load of the stream: where to read on. It lands in the same load as the"
    " messages, so that both are durable together.",
    (
        Column("topic", "text", "Topic that was read."),
        Column("partition", "bigint", "Partition of the topic."),
        Column("next_offset", "bigint", "Offset of the first message not landed yet."),
        Column("run_id", "text", "Run of the ledger that landed it."),
        METADATA[-2],
        METADATA[-1],
    ),
)
REFERENCE = (CITIES, COUNTRIES)
LANDING = (DLT_LOADS, DEAD_LETTERS, SYNC_CURSORS, INBOX_BATCHES, STREAM_OFFSETS)
_INSPECTED = {
    inspect.StrType: "text",
    inspect.LiteralType: "text",
    inspect.IntType: "bigint",
    inspect.BoolType: "boolean",
    inspect.DateTimeType: "timestamptz",
    inspect.DictType: "text",
}


def tables_of(entity: Entity) -> tuple[RawTable, ...]:
    """The raw tables that `entity` lands in: its own, then one for each nested list."""
    position = POSITION if entity.is_streamed else ()
    columns = (*_columns(entity.contract), *position, *METADATA)
    own = RawTable(entity.table, _summary(entity.contract), columns)
    return (own, *(_child_table(entity, name, child) for name, child in entity.children.items()))


def _child_table(entity: Entity, list_field: str, child: str) -> RawTable:
    field = next(f for f in _fields(entity.contract) if f.name == list_field)
    item = _unwrap(field.type)[0]
    assert isinstance(item, inspect.ListType)
    assert isinstance(item.item_type, inspect.StructType)
    contract = item.item_type.cls
    return RawTable(
        f"{entity.source}__{child}",
        _summary(contract),
        (*ORDER_KEYS[child], *_columns(contract), *METADATA),
        list_field,
    )


def _columns(contract: type[msgspec.Struct], path: tuple[str, ...] = ()) -> Iterator[Column]:
    for field in _fields(contract):
        kind, meta = _unwrap(field.type)
        here = (*path, field.name)
        if isinstance(kind, inspect.ListType):
            continue
        if isinstance(kind, inspect.StructType):
            yield from _columns(kind.cls, here)
            continue
        data_type = meta.get("data_type") or _INSPECTED[type(kind)]
        is_json = isinstance(kind, inspect.DictType)
        yield Column("_".join(here), data_type, meta["description"], here, is_json=is_json)


def _fields(contract: type[Any]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(contract)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _unwrap(kind: inspect.Type) -> tuple[inspect.Type, dict[str, str]]:
    """`kind` without annotations and `| None`, and what the annotations said."""
    meta: dict[str, str] = {}
    while True:
        if isinstance(kind, inspect.Metadata):
            meta |= kind.extra or {}
            meta |= {k: v for k, v in (kind.extra_json_schema or {}).items() if k == "description"}
            kind = kind.type
        elif isinstance(kind, inspect.UnionType):
            kind = next(t for t in kind.types if not isinstance(t, inspect.NoneType))
        else:
            return kind, meta


def _summary(contract: type[msgspec.Struct]) -> str:
    return (contract.__doc__ or "").strip().splitlines()[0]
