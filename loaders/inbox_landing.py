"""Lands the ledger's inbox: batch of events ─▶ contracts ─▶ raw, each batch once.

The batch's id lands in the same load as its events (`raw.inbox_batches`). Whatever dies in between,
the next run asks raw whether the batch is there, and lands it if it is not. A batch that does not
land though the target is well is halved until the event at fault stands alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pyarrow as pa
from msgspec.structs import replace
from sqlalchemy import Engine, RowMapping

from ledger import batches
from ledger.batches import Batch
from ledger.dead_letters import QUALITY
from ledger.errors import TargetError
from ledger.settings import Settings
from loaders.arrow import TableBuilder, arrow_schema
from loaders.columns import EVENTS_WEBHOOK, INBOX_BATCHES, POSITION
from loaders.contracts import ALL_ENTITIES, Entity
from loaders.decoding import DecodedPage, RecordDecoder, row_hash
from loaders.knowledge import COMPLETE
from loaders.landing import Landing
from loaders.target import RAW, Target

BATCH_EVENTS = 5_000
PIPELINE = "webhooks"
BY_NAME = {(entity.source, entity.name): entity for entity in ALL_ENTITIES}
# The resolution of every engine's timestamps.
INSTANT = timedelta(microseconds=1)


@dataclass
class LandedInbox:
    """What a run landed: events, those that turned out dead, and the raw tables that have news."""

    landed: int = 0
    dead: int = 0
    tables: set[str] = field(default_factory=set)
    is_to_be_judged: bool = False
    """Whether records are among them that expectations on raw refused before."""


class InboxLanding:
    """Lands everything that waits; call it with the run lock held."""

    def __init__(self, settings: Settings, ledger: Engine) -> None:
        self._ledger = ledger
        self._target = Target(settings)
        self._landing = Landing(settings, self._target, PIPELINE)

    def heal(self) -> int:
        """Let events wait again whose batch raw lacks: the warehouse may be a restored backup."""
        believed = batches.unlanded_batches(self._ledger)
        missing = believed - self._landed_batches() if believed else set()
        return batches.land_again(self._ledger, missing)

    def run(self) -> LandedInbox:
        """Land batch after batch until one is not full: what waited has landed then.

        Raises:
            TargetError: the warehouse cannot be written; what waits goes on waiting.
        """
        result = LandedInbox()
        while (batch := batches.take_batch(self._ledger, BATCH_EVENTS)) is not None:
            before = result.landed
            with self._target.held():
                self._land(batch, result)
            if result.landed > before and not batch.is_resumed and len(batch.rows) < BATCH_EVENTS:
                # What came meanwhile is the next cycle's: else a steady stream would end no cycle.
                break
        return result

    def _land(self, batch: Batch, result: LandedInbox) -> None:
        if batch.is_resumed and batch.batch_id in self._landed_batches(batch.batch_id):
            tables, dead = _tables(batch)
        else:
            try:
                tables, dead = _tables(batch)
                self._append(batch, tables)
            except Exception as error:  # One event, or a fault of ours, must not block the others.
                self._isolate(batch, error)
                return
        batches.mark_landed(self._ledger, batch, dead)
        result.landed += len(batch.rows) - len(dead)
        result.dead += len(dead)
        result.tables |= set(tables)
        result.is_to_be_judged |= any(row["way_in"] == QUALITY for row in batch.rows)

    def _append(self, batch: Batch, tables: dict[str, list[pa.Table]]) -> None:
        sent = {name: sum(part.num_rows for part in parts) for name, parts in tables.items()}
        load_id = self._landing.land(_with_batch_row(batch, tables))
        self._landing.check(load_id, sent)

    def _isolate(self, batch: Batch, error: Exception) -> None:
        """Find the event at fault; a target that takes nothing at all is no event's fault.

        Nor is one that took the batch and was gone before it could be asked: the batch keeps its
        id, and is found landed when it is taken again.

        Raises:
            TargetError: the target is down.
        """
        self._landing.land(_with_batch_row(Batch("probe", [], is_resumed=False), {}))
        if isinstance(error, TargetError) and self._landed_batches(batch.batch_id):
            return
        if len(batch.rows) > 1:
            batches.split(self._ledger, batch)
        else:
            batches.postpone(self._ledger, batch.rows[0], str(error))

    def _landed_batches(self, batch_id: str | None = None) -> set[str]:
        query = f"select batch_id from {RAW}.{INBOX_BATCHES.name} where {COMPLETE}"
        if batch_id is None:
            return {row[0] for row in self._target.fetch(query)}
        return {row[0] for row in self._target.fetch(f"{query} and batch_id = ?", (batch_id,))}


def _with_batch_row(
    batch: Batch, tables: dict[str, list[pa.Table]]
) -> Iterator[tuple[str, pa.Table]]:
    for name, parts in tables.items():
        yield name, pa.concat_tables(parts)
    row = {"batch_id": batch.batch_id, "events": len(batch.rows)}
    yield INBOX_BATCHES.name, pa.Table.from_pylist([row], schema=arrow_schema(INBOX_BATCHES))


class _Data(msgspec.Struct):
    """What an envelope carries."""

    data: msgspec.Raw


_ENVELOPE = msgspec.json.Decoder(_Data)


def _tables(batch: Batch) -> tuple[dict[str, list[pa.Table]], list[tuple[RowMapping, str]]]:
    """Tables of a batch by name, and the rows whose contract they break with the reason."""
    groups: dict[tuple[str, str] | None, list[RowMapping]] = {}
    for row in batch.rows:
        key = (row["source"], row["entity"]) if row["entity"] else None
        groups.setdefault(key, []).append(row)
    tables: dict[str, list[pa.Table]] = {}
    dead: list[tuple[RowMapping, str]] = []
    for key, rows in groups.items():
        if key is None:
            tables[EVENTS_WEBHOOK.name] = [_untouched(rows)]
            continue
        entity = BY_NAME[key]
        raws = [record_of(row["way_in"], row["body"]) for row in rows]
        page = RecordDecoder(entity).decode(raws, list(map(_row_hash, rows, raws)))
        dead.extend((rows[letter.place], letter.error) for letter in page.dead)
        for name, table in _entity_tables(entity, page, [rows[n] for n in page.places]).items():
            tables.setdefault(name, []).append(table)
    return tables, dead


def _row_hash(row: RowMapping, raw: bytes) -> str:
    """Hash of the bytes that the source sent: a record of raw that lands again keeps its own."""
    return str(row["body_hash"]) if row["way_in"] == QUALITY else row_hash(raw)


def record_of(way_in: str, body: bytes) -> bytes:
    """The bytes of the record in a body: a webhook wraps it in an envelope, others do not."""
    return bytes(_ENVELOPE.decode(body).data) if way_in == "webhook" else body


def _entity_tables(
    entity: Entity, page: DecodedPage, rows: Sequence[RowMapping]
) -> dict[str, pa.Table]:
    deleted = [bool(row["is_deletion"]) for row in rows]
    for place, gone in enumerate(deleted):
        if gone:
            # A deletion follows the version that it deletes, whichever of both comes first.
            record = page.records[place]
            page.records[place] = replace(record, updated_at=record.updated_at + INSTANT)
    position = _positions(rows) if entity.is_streamed else None
    received = [row["received_at"] for row in rows]
    return TableBuilder(entity).build(page, received, deleted=deleted, position=position)


def _positions(rows: Sequence[RowMapping]) -> dict[str, list[Any]]:
    """Where replayed messages lay in their topic."""
    found = [msgspec.json.decode(row["position"]) if row["position"] else {} for row in rows]
    names = {column.name: column.name.lstrip("_") for column in POSITION}
    return {name: [value.get(key) for value in found] for name, key in names.items()}


def _untouched(rows: Sequence[RowMapping]) -> pa.Table:
    records = [
        {
            "source": row["source"],
            "event_id": row["event_id"],
            "event_type": row["event_type"],
            "payload": row["body"].decode(),
            "_received_at": row["received_at"],
        }
        for row in rows
    ]
    return pa.Table.from_pylist(records, schema=arrow_schema(EVENTS_WEBHOOK))
