"""What a cycle is asked to do, and what it did."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ledger.publications import Publication
from ledger.runs import now
from loaders.columns import tables_of
from loaders.inbox_landing import InboxLanding, LandedInbox
from loaders.stream import LandedStream, StreamReader
from loaders.sync import EntitySync
from operations.dbt_results import BuildResult


@dataclass(frozen=True)
class Plan:
    """What a cycle is to do. `sources` None: no sync, no inbox; `selectors` None: no build."""

    command: str
    sources: Sequence[str] | None = None
    selectors: Sequence[str] | None = None
    full: bool = False
    full_refresh: bool = False
    as_of: datetime | None = None
    wait_seconds: float = 0.0
    inbox: InboxLanding | None = None
    """Kept by the service; else one is made."""
    stream: StreamReader | None = None
    news: frozenset[str] | None = None
    """Raw tables that no build has seen yet: build what is downstream of these and of the cycle's
    own; None: build the selectors."""
    tests: bool = True
    """Whether everything that is built is tested; else only what readers will see."""
    publishes: bool = False
    """Whether what is there is audited and published, also without a build."""


@dataclass
class CycleResult:
    """What a command did."""

    run_id: str = ""
    started_at: datetime = field(default_factory=now)
    inbox: LandedInbox | None = None
    stream: LandedStream | None = None
    syncs: list[EntitySync] = field(default_factory=list)
    build: BuildResult | None = None
    publication: Publication | None = None
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What is amiss and holds nothing back."""

    @property
    def succeeded(self) -> bool:
        """Whether nothing went wrong; rejected records are kept and do not count as wrong."""
        return not self.errors

    @property
    def news(self) -> set[str]:
        """Raw tables that have rows they had not before."""
        found = {
            table.name
            for sync in self.syncs
            for table in tables_of(sync.entity)
            if sync.counts.landed or sync.counts.deleted
        }
        if self.inbox:
            found |= self.inbox.tables
        if self.stream:
            found |= self.stream.tables
        return found

    @property
    def dead(self) -> int:
        """Records of pulls and the stream that became dead letters in raw."""
        dead = sum(sync.counts.dead for sync in self.syncs)
        return dead + (self.stream.counts.dead if self.stream else 0)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run_id": self.run_id,
            "succeeded": self.succeeded,
            "errors": self.errors,
            "warnings": self.warnings,
            "inbox": self.inbox and {"landed": self.inbox.landed, "dead": self.inbox.dead},
            "stream": self.stream and vars(self.stream.counts),
            "syncs": [_sync_json(sync) for sync in self.syncs],
            "build": self.build and self.build.as_json(),
            "publication": self.publication and vars(self.publication),
        }


def _sync_json(sync: EntitySync) -> dict[str, Any]:
    return {
        "source": sync.entity.source,
        "entity": sync.entity.name,
        "status": sync.status,
        **vars(sync.counts),
        "cursor_before": sync.cursor_before and sync.cursor_before.isoformat(),
        "cursor_after": sync.cursor_after and sync.cursor_after.isoformat(),
        "error": sync.error,
    }
