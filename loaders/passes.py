"""One pass over the pages of an entity, and whether the passes so far saw everything.

pages ─▶ drop bytes already seen ─▶ decode ─▶ Arrow tables, counting every record once:
received = landed + duplicate + dead.

Rows may move between pages while they are read, and a pager by offset then skips rows without a
trace in the answer it gives. What gives it away: the same record twice, or a record changed since
the pass began. After such a pass the entity is read again, until a pass shows nothing that an
earlier one missed (`Completeness`); only then does the cursor move.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa

from ledger.runs import SyncCounts, now
from loaders.arrow import TableBuilder, dead_letter_table
from loaders.client import ApiClient, Page
from loaders.columns import DEAD_LETTERS
from loaders.contracts import Entity
from loaders.decoding import DecodedPage, RecordDecoder, row_hash

RECENT_KEYS = 50_000
CLOCK_RESOLUTION = timedelta(seconds=1)
QUIET_PASSES = 3
MAX_PASSES = 8


class RecentKeys:
    """The newest keys, at least `RECENT_KEYS` of them, in memory that does not grow."""

    def __init__(self) -> None:
        self._new: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._new or key in self._old

    def add(self, key: str) -> None:
        """Remember `key`; the oldest are forgotten, half of them at a time."""
        if len(self._new) >= RECENT_KEYS:
            self._old, self._new = self._new, set()
        self._new.add(key)


@dataclass
class Known:
    """What the warehouse holds of an entity: record hashes and dead letter ids."""

    hashes: dict[str, str] = field(default_factory=dict)
    """Hash of a record's bytes to its id, of records that are not deleted."""
    newest: datetime | None = None
    """Largest version among them."""
    dead_letters: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    """Ids that are not deleted; filled for a full reconciliation only."""


@dataclass
class PassReport:
    """What one pass saw."""

    counts: SyncCounts = field(default_factory=SyncCounts)
    pages: int = 0
    started_at: datetime | None = None
    """By the API's clock."""
    largest_version: datetime | None = None
    """Of the records landed, and of those that the warehouse held before."""
    repeated: bool = False
    """A record came twice, other than by pages that overlap."""
    moved: bool = False
    """A record came in two versions, or was changed while the pass ran."""
    oldest_landed: datetime | None = None
    """Oldest version landed: if an earlier pass could have served it, that pass missed it."""
    served_ids: set[str] = field(default_factory=set)
    """Ids that the warehouse knew before and that were served again."""

    @property
    def suspicious(self) -> bool:
        """Whether rows may have slipped through between two pages."""
        return self.pages > 1 and (self.repeated or self.moved)


class Completeness:
    """Decides, pass by pass, whether an entity was read in full."""

    def __init__(self) -> None:
        self._quiet = 0
        self._previous_start: datetime | None = None

    def settled(self, report: PassReport) -> bool:
        """Whether no further pass is needed after this one."""
        previous, self._previous_start = self._previous_start, report.started_at
        if not report.suspicious:
            return True
        if previous is None:
            return False
        missed_before = report.oldest_landed is not None and report.oldest_landed < previous
        self._quiet = 0 if missed_before else self._quiet + 1
        return self._quiet >= (QUIET_PASSES if report.repeated else 1)


class EntityReader:
    """Reads passes over one entity."""

    def __init__(self, entity: Entity, known: Known) -> None:
        self._entity = entity
        self._known = known
        self._decoder = RecordDecoder(entity)
        self._builder = TableBuilder(entity)

    def read(
        self, client: ApiClient, since: datetime | None, report: PassReport
    ) -> Iterator[dict[str, pa.Table]]:
        """Yield the tables of each page; `report` is filled as the pass goes.

        Raises:
            SourceError: the pages cannot be had in full; the tables yielded so far are good.
        """
        seen, ids = RecentKeys(), RecentKeys()
        previous: list[str] = []
        for page in client.pages(self._entity, since):
            hashes = [row_hash(raw) for raw in page.raws]
            report.pages += 1
            if report.started_at is None:
                report.started_at = page.server_time - CLOCK_RESOLUTION
            report.repeated |= _repeats(hashes, previous, seen)
            previous = hashes
            yield self._page_tables(page, hashes, seen, ids, report)

    def _page_tables(
        self,
        page: Page,
        hashes: list[str],
        seen: RecentKeys,
        ids: RecentKeys,
        report: PassReport,
    ) -> dict[str, pa.Table]:
        fresh_raws, fresh_hashes = [], []
        for raw, hashed in zip(page.raws, hashes, strict=True):
            known_id = self._known.hashes.get(hashed)
            if known_id is not None:
                report.served_ids.add(known_id)
            elif hashed not in seen:
                fresh_raws.append(raw)
                fresh_hashes.append(hashed)
            seen.add(hashed)
        decoded = self._decoder.decode(fresh_raws, fresh_hashes)
        tables = self._builder.build(decoded, page.received_at)
        new_letters = self._dead_letters(decoded, page.received_at)
        if new_letters is not None:
            tables[DEAD_LETTERS.name] = new_letters
        self._observe(decoded, ids, report)
        counts, dead = report.counts, new_letters.num_rows if new_letters is not None else 0
        counts.received += len(page.raws)
        counts.landed += len(decoded.records)
        counts.dead += dead
        counts.duplicate += len(page.raws) - len(fresh_raws) + len(decoded.dead) - dead
        return tables

    def _dead_letters(self, decoded: DecodedPage, seen_at: datetime) -> pa.Table | None:
        if not decoded.dead:
            return None
        table = dead_letter_table(self._entity, decoded.dead, seen_at)
        new = []
        for position, letter_id in enumerate(table["dead_letter_id"].to_pylist()):
            if letter_id not in self._known.dead_letters:
                self._known.dead_letters.add(letter_id)
                new.append(position)
        return table.take(new) if new else None

    def _observe(self, decoded: DecodedPage, ids: RecentKeys, report: PassReport) -> None:
        if self._known.ids:
            report.served_ids.update(
                name
                for name in (*(r.id for r in decoded.records), *(d.record_id for d in decoded.dead))
                if name in self._known.ids
            )
        if not decoded.records:
            return
        for record in decoded.records:
            report.moved |= record.id in ids
            ids.add(record.id)
        versions = [record.updated_at for record in decoded.records]
        oldest, newest = min(versions), max(versions)
        report.moved |= report.started_at is not None and newest >= report.started_at
        report.oldest_landed = min(filter(None, (oldest, report.oldest_landed)))
        report.largest_version = max(filter(None, (newest, report.largest_version)))


def _repeats(hashes: list[str], previous: list[str], seen: RecentKeys) -> bool:
    """Whether records came again, other than the end of the last page at the head of this one.

    Pages by an inclusive key overlap so, and so do rows that were pushed down by a new first row:
    nothing is skipped then.
    """
    repeated = [hashed for hashed in hashes if hashed in seen]
    overlap = len(repeated)
    if not overlap:
        return False
    benign = overlap < len(hashes) and hashes[:overlap] == previous[-overlap:]
    return not benign


def bounded_cursor(report: PassReport, before: datetime | None) -> datetime | None:
    """The next cursor: the largest version seen, never ahead of the pass, never going back.

    A page that was read before its records changed does not show what a later page does: what
    changed since the pass began is asked for again. And a record dated in the future would hide
    everything until then.
    """
    if report.largest_version is None:
        return before
    bounded = min(report.largest_version, report.started_at or now())
    return bounded if before is None else max(bounded, before)
