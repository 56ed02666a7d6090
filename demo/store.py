"""The rows that the demo API serves: records or JSON lines -> encoded bytes in memory -> pages.

Every row is kept once, already encoded, with its `updated_at` as microseconds in a sorted index, so
a page costs one slice and one join. Repeating an upsert of the same id replaces the row in place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from demo.folder import DemoDataError, data_files, lines
from demo.table import Page, Position, Table

SOURCES: dict[str, tuple[str, ...]] = {
    "crm": ("accounts", "companies", "users"),
    "commerce": ("customers", "products", "orders"),
    "support": ("tickets", "feedback"),
}
SOURCE_OF: dict[str, str] = {
    entity: source for source, entities in SOURCES.items() for entity in entities
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Head(msgspec.Struct):
    """What the store itself must know of a record."""

    id: str
    updated_at: datetime


class _Creation(msgspec.Struct):
    """When a record says that it came to be."""

    created_at: datetime | None = None


_decode_head = msgspec.json.Decoder(_Head).decode
_encode = msgspec.json.Encoder().encode


class Store:
    """Rows by source and entity; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tables = {
            (source, entity): Table() for source, entities in SOURCES.items() for entity in entities
        }

    @classmethod
    def from_folder(
        cls, path: Path | str, source_of_entity: Mapping[str, str] = SOURCE_OF
    ) -> Store:
        """Read `<entities>.jsonl[.gz]`; entities without a file are empty, lines stay verbatim."""
        store = cls()
        for entity, file in data_files(Path(path), source_of_entity).items():
            store._load(file, source_of_entity[entity], entity)
        return store

    def upsert(self, source: str, entity: str, record: Mapping[str, Any] | bytes) -> None:
        """Add the record, or replace the row of the same id."""
        raw = record if isinstance(record, bytes) else _encode(record)
        key, moment = _head(raw)
        with self._lock:
            self._table(source, entity).put(key, raw, moment)

    def add_raw(
        self, source: str, entity: str, raw: bytes, updated_at: datetime, key: str | None = None
    ) -> None:
        """Serve bytes as they are, however malformed; `key` makes them replaceable by an upsert."""
        with self._lock:
            self._table(source, entity).put(key, raw, to_microseconds(updated_at), malformed=True)

    def delete(self, source: str, entity: str, id: str) -> bool:
        """Stop serving a row; false when there was none."""
        with self._lock:
            return self._table(source, entity).remove(id)

    def get(self, source: str, entity: str, id: str) -> bytes | None:
        """Give the encoded row of this id."""
        with self._lock:
            return self._table(source, entity).get(id)

    def ids(self, source: str, entity: str, *, malformed: bool = False) -> list[str]:
        """Ids in the order of their first arrival; those of malformed rows only on demand."""
        with self._lock:
            return self._table(source, entity).keys(malformed)

    def count(self, source: str, entity: str) -> int:
        """Number of rows served now, malformed ones included."""
        with self._lock:
            return len(self._table(source, entity))

    def malformed(self, source: str, entity: str) -> int:
        """Number of rows that came by `add_raw`."""
        with self._lock:
            return len(self._table(source, entity).malformed)

    def rows(self, source: str, entity: str, modified_since: datetime | None = None) -> list[bytes]:
        """All rows updated at or after `modified_since`, in the stable serving order."""
        return self.page(source, entity, modified_since=modified_since, limit=None).rows

    def page(
        self,
        source: str,
        entity: str,
        *,
        modified_since: datetime | None = None,
        limit: int | None = 500,
        offset: int = 0,
        after: Position | None = None,
        salt: int | None = 0,
    ) -> Page:
        """One page from an offset or behind a position; `salt` shuffles, None sorts by time."""
        since = None if modified_since is None else to_microseconds(modified_since)
        with self._lock:
            return self._table(source, entity).page(since, limit, offset, after, salt)

    def move_to_end(
        self, source: str, entity: str, count: int, modified_since: datetime | None = None
    ) -> int:
        """Update the `count` oldest of these rows as if edited now; gives how many moved."""
        with self._lock:
            table = self._table(source, entity)
            since = None if modified_since is None else to_microseconds(modified_since)
            slots = table.oldest(since, count)
            for slot in slots:
                moment = table.latest() + 1_000_000
                table.replace(slot, _with_updated_at(table.raw(slot), moment), moment)
            return len(slots)

    def _table(self, source: str, entity: str) -> Table:
        try:
            return self._tables[source, entity]
        except KeyError:
            raise DemoDataError(f"unknown entity {source}/{entity}") from None

    def _load(self, file: Path, source: str, entity: str) -> None:
        table = self._table(source, entity)
        for number, line in lines(file):
            try:
                key, moment = _head(line)
            except DemoDataError:
                if (reason := _no_json(line)) is not None:
                    raise DemoDataError(f"{file}, line {number}: not JSON: {reason}") from None
                # A bad record is the reader's to reject, as it would be with a real API.
                table.put(None, line, 0, malformed=True)
                continue
            # Another version of a record is a row of its own: the reader decides which one wins.
            table.put(None if table.get(key) is not None else key, line, moment)

    def withhold_newest(self, share: float) -> Callable[[], int]:
        """Serve what the API had before its newest `share` of changes; the result catches up.

        A record that existed by then, and changed later, is served as if last edited at that
        moment; one created later is not served.
        """
        with self._lock:
            moment = self._moment_before(share)
            held = []
            for table in self._tables.values():
                for slot in table.newer_than(moment):
                    raw = table.raw(slot)
                    held.append((table, slot, raw, table.time(slot)))
                    if _existed(raw, moment):
                        table.replace(slot, _with_updated_at(raw, moment), moment)
                    else:
                        table.hide(slot)

        def release() -> int:
            with self._lock:
                for table, slot, raw, time in held:
                    table.replace(slot, raw, time)
            return len(held)

        return release

    def _moment_before(self, share: float) -> int:
        """Time after which `share` of all rows changed."""
        times = sorted(
            table.time(slot)
            for table in self._tables.values()
            for slot in table.oldest(None, len(table))
        )
        kept = len(times) - int(len(times) * share)
        return times[kept - 1] if kept else -1


def to_microseconds(moment: datetime) -> int:
    """Exact microseconds since 1970 of a zoned time."""
    return (moment - _EPOCH) // _MICROSECOND


def _head(raw: bytes) -> tuple[str, int]:
    try:
        head = _decode_head(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DemoDataError(f"not a record with id and updated_at: {error}") from None
    if head.updated_at.tzinfo is None:
        raise DemoDataError(f"updated_at of {head.id} has no offset")
    return head.id, to_microseconds(head.updated_at)


def _existed(raw: bytes, moment: int) -> bool:
    """Whether the record says that it was created by then."""
    try:
        created = msgspec.json.decode(raw, type=_Creation).created_at
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return created is not None and created.tzinfo is not None and to_microseconds(created) <= moment


def _no_json(raw: bytes) -> str | None:
    """Why this is no JSON; None when it is."""
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)
    return None


def _with_updated_at(raw: bytes, microseconds: int) -> bytes:
    try:
        record = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw
    if not isinstance(record, dict):
        return raw
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return _encode({**record, "updated_at": moment.isoformat()})
