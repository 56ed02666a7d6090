"""Syncs one source: pages ─▶ passes ─▶ one load a pass ─▶ figures in raw and in the ledger.

For each entity: the cursor minus its lag is asked for, bytes that the warehouse holds are dropped,
the rest lands. A pass that may have missed rows is followed by another (see `passes.py`). The
figures and the cursor land in the same load as the records; after it, the rows in the target are
counted and must be those that were sent. An entity that fails does not keep the others from
landing, keeps what it got, and does not move its cursor. Safe to repeat at any point.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
from sqlalchemy import Engine

from ledger.breakers import LedgerBreakerStorage
from ledger.errors import BalanceError, SourceError, SourceUnavailable
from ledger.runs import SyncCounts, finish_sync, now, reason_of, start_sync, status_of
from ledger.settings import Settings
from loaders.arrow import arrow_schema
from loaders.client import ApiClient
from loaders.columns import SYNC_CURSORS
from loaders.contracts import Entity
from loaders.knowledge import cursor_of, known_records, live_ids, tombstones
from loaders.landing import Landing
from loaders.passes import MAX_PASSES, Completeness, EntityReader, PassReport, bounded_cursor
from loaders.sources.base import ApiSource
from loaders.target import Target

MIN_DELETED = 10
Progress = Callable[[str, str, SyncCounts], None]


@dataclass
class EntitySync:
    """The state of one entity's sync; what remains is the result."""

    entity: Entity
    full: bool
    cursor_before: datetime | None = None
    cursor_after: datetime | None = None
    cursor_next: datetime | None = None
    """Where the cursor will be once the current pass has landed."""
    since: datetime | None = None
    counts: SyncCounts = field(default_factory=SyncCounts)
    error: str | None = None
    done: bool = False
    completeness: Completeness = field(default_factory=Completeness)
    report: PassReport = field(default_factory=PassReport)
    missing: set[str] | None = None
    landed_rows: dict[str, int] = field(default_factory=dict)
    """Rows sent to each raw table in the current pass."""

    @property
    def status(self) -> str:
        """succeeded, failed or interrupted."""
        return status_of(self.error)


class SourceSync:
    """One sync of one source within a run."""

    def __init__(
        self, settings: Settings, ledger: Engine, source: ApiSource, run_id: str, *, full: bool
    ) -> None:
        self._ledger = ledger
        self._source = source
        self._run_id = run_id
        self._target = Target(settings)
        self._landing = Landing(settings, self._target, source.name)
        self._syncs = [EntitySync(entity, full) for entity in source.entities]

    def run(self, progress: Progress) -> list[EntitySync]:
        """Sync every entity; failures are in the results, and in the ledger.

        Raises:
            TargetError: the warehouse cannot be written.
            BalanceError: rows in the target are not those that were sent.
        """
        mode = "full" if self._syncs[0].full else "incremental"
        for sync in self._syncs:
            start_sync(self._ledger, self._run_id, self._source.name, sync.entity.name, mode)
        try:
            with self._target.held():
                self._run_passes(progress)
        except BaseException as error:
            for sync in self._syncs:
                sync.error = sync.error or reason_of(error)
                sync.cursor_after = sync.cursor_before
            raise
        finally:
            for sync in self._syncs:
                self._record(sync)
        return self._syncs

    def _run_passes(self, progress: Progress) -> None:
        for sync in self._syncs:
            sync.cursor_before = sync.cursor_after = cursor_of(self._target, sync.entity)
            if sync.cursor_before is not None and not sync.full:
                sync.since = sync.cursor_before - timedelta(seconds=self._source.cursor_lag_seconds)
        storage = LedgerBreakerStorage(self._ledger, self._source.name)
        with ApiClient(self._source, storage) as client:
            for number in range(1, MAX_PASSES + 1):
                open_syncs = [sync for sync in self._syncs if not sync.done]
                if not open_syncs:
                    return
                last = number == MAX_PASSES
                load_id = self._landing.land(self._read(client, open_syncs, progress, last=last))
                for sync in open_syncs:
                    sync.counts.add(sync.report.counts)
                    sync.cursor_after = sync.cursor_next
                sent: Counter[str] = Counter()
                for sync in open_syncs:
                    sent.update(sync.landed_rows)
                self._landing.check(load_id, sent)

    def _read(
        self, client: ApiClient, syncs: Sequence[EntitySync], progress: Progress, *, last: bool
    ) -> Iterator[tuple[str, pa.Table]]:
        for sync in syncs:
            sync.landed_rows = {}
            for name, table in self._read_entity(client, sync, progress, last=last):
                sync.landed_rows[name] = sync.landed_rows.get(name, 0) + table.num_rows
                yield name, table

    def _read_entity(
        self, client: ApiClient, sync: EntitySync, progress: Progress, *, last: bool
    ) -> Iterator[tuple[str, pa.Table]]:
        known = known_records(self._target, sync.entity, sync.since)
        if sync.full:
            known.ids = live_ids(self._target, sync.entity)
        sync.report = PassReport(largest_version=known.newest)
        counts = sync.report.counts
        try:
            for tables in EntityReader(sync.entity, known).read(client, sync.since, sync.report):
                yield from tables.items()
                progress(self._source.name, sync.entity.name, counts)
            self._judge(sync, known.ids)
            if last and not sync.done:
                raise SourceUnavailable(
                    f"source {self._source.name}, {sync.entity.name}: rows still moved between "
                    f"pages in pass {MAX_PASSES}; what came is kept, the next sync asks again"
                )
            if sync.done and sync.missing:
                counts.deleted = len(sync.missing)
                yield from tombstones(self._target, sync.entity, sorted(sync.missing), now())
        except SourceError as error:
            sync.error, sync.done = str(error), True
        if not counts.balanced:
            raise BalanceError(_unbalanced(self._source.name, sync.entity.name, counts))
        sync.cursor_next = sync.cursor_before
        if sync.done and not sync.error:
            sync.cursor_next = bounded_cursor(sync.report, sync.cursor_before)
        if counts.landed or counts.dead or counts.deleted or sync.cursor_next != sync.cursor_before:
            yield SYNC_CURSORS.name, self._cursor_row(sync)

    def _judge(self, sync: EntitySync, live: set[str]) -> None:
        """Decide whether the entity was read in full, and what is no longer served."""
        sync.done = sync.completeness.settled(sync.report)
        if not sync.full:
            return
        unserved = live - sync.report.served_ids
        confirmed = sync.missing is not None
        sync.missing = unserved if sync.missing is None else unserved & sync.missing
        if sync.missing and not confirmed:
            sync.done = False
        allowed = max(MIN_DELETED, int(self._source.max_deleted_ratio * len(live)))
        if sync.done and len(sync.missing) > allowed:
            raise SourceUnavailable(
                f"source {self._source.name}, {sync.entity.name}: {len(sync.missing)} of "
                f"{len(live)} records are no longer served, more than {allowed}; none was marked "
                f"as deleted. If that is right, raise max_deleted_ratio of the source"
            )

    def _cursor_row(self, sync: EntitySync) -> pa.Table:
        counts = sync.report.counts
        row = {
            "source": self._source.name,
            "entity": sync.entity.name,
            "run_id": self._run_id,
            **vars(counts),
            "cursor_at": sync.cursor_next,
            "error": sync.error,
        }
        return pa.Table.from_pylist([row], schema=arrow_schema(SYNC_CURSORS))

    def _record(self, sync: EntitySync) -> None:
        finish_sync(
            self._ledger,
            (self._run_id, self._source.name, sync.entity.name),
            sync.status,
            sync.counts,
            error=sync.error,
            cursor_before=sync.cursor_before,
            cursor_after=sync.cursor_after,
        )


def _unbalanced(source: str, entity: str, counts: SyncCounts) -> str:
    return (
        f"source {source}, {entity}: received {counts.received}, but landed {counts.landed} + "
        f"duplicate {counts.duplicate} + dead {counts.dead}; nothing was landed, report this"
    )
