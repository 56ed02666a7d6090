"""The law of publishing: readers see what was built, row for row, whatever came before.

A publication takes over only what builds noted since the version that readers see. So every row is
compared here, after late loads, partial, failed and refused builds, full refreshes and publications
that died at one step or another.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from integration.streams import START, Change, Step, land, record, streams
from sqlalchemy import Engine, select
from support.modelled import ModelledWarehouse

from ledger.engine import open_ledger
from ledger.errors import TargetError
from ledger.publications import current_publication
from ledger.settings import Settings
from ledger.tables import publication_tables
from serving import draft_duckdb, notes, publish_duckdb, publish_postgres
from serving.publish import publish, refresh_operations, reject

EXAMPLES = int(os.environ.get("LAW_EXAMPLES") or 1)
FATES = ("published", "partial", "failed", "refused", "died early", "died late", "rebuilt")
"""What becomes of a build and its publication."""
DEATHS = {
    ("duckdb", "died early"): (publish_duckdb, "_copy_operations"),
    ("duckdb", "died late"): (publish_duckdb, "forget_notes"),
    ("postgres", "died early"): (publish_postgres, "record_publication"),
    ("postgres", "died late"): (publish_postgres, "_mirror"),
}
VIEWS = ("path:models/staging", "path:models/marts/operations")
SOME_MARTS = ("+dim_customer_history", "+fct_feedback", "+daily_sales")


class Published:
    """A warehouse, and what readers see of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.warehouse = ModelledWarehouse(settings, seeded=True)
        self.ledger: Engine = open_ledger(settings)
        self.as_of = START
        self.loads = 0
        self.publish()

    def land(self, step: Step) -> str:
        self.loads += 1
        return land(self.warehouse, self.loads, step)

    def build(self, *selectors: str, full: bool = False) -> None:
        self.warehouse.dbt("run", *selectors, exclude=VIEWS, as_of=self.as_of, full=full)

    def publish(self) -> None:
        """Publish, and compare every row."""
        publish(self.settings, self.ledger, "run", self.as_of)
        built, shown = self.warehouse.dump(), self.warehouse.published()
        assert sorted(built) == sorted(shown)
        assert [table for table in built if built[table] != shown[table]] == []
        assert self.counted() == {table: rows.total() for table, rows in built.items()}

    def counted(self) -> dict[str, int]:
        """Rows of each table as the ledger has them."""
        current = current_publication(self.ledger)
        assert current is not None
        columns = publication_tables.c
        query = select(columns.table_name, columns.row_count)
        with self.ledger.connect() as connection:
            rows = connection.execute(query.where(columns.version == current.version))
            return dict(rows.tuples().all())

    def suffer(self, fate: str) -> None:
        """Build; then publish, or see that readers keep what they have."""
        publishes = fate in ("published", "partial", "rebuilt")
        before = {} if publishes else self.warehouse.published()
        if fate == "failed":
            self.warehouse.execute("alter table core.fct_sales add column in_the_way integer")
            assert not self.warehouse.try_dbt("run", exclude=VIEWS, as_of=self.as_of).success
            self.warehouse.execute("alter table core.fct_sales drop column in_the_way")
        else:
            self.build(*(SOME_MARTS if fate == "partial" else ()), full=fate == "rebuilt")
        if fate in ("failed", "refused"):
            reject(self.ledger, "run", self.as_of, fate)
            refresh_operations(self.settings, self.ledger)
        elif publishes:
            self.publish()
            return
        else:
            self.die(fate)
        if (self.settings.engine_name, fate) != ("duckdb", "died late"):
            assert self.warehouse.published() == before

    def die(self, fate: str) -> None:
        """A publication that does not come to its end."""

        def full_disk(*_: object) -> None:
            raise OSError("No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*DEATHS[self.settings.engine_name, fate], full_disk)
            with pytest.raises(TargetError, match="No space left"):
                publish(self.settings, self.ledger, "run", self.as_of)


@pytest.fixture(scope="module")
def published(built_module_settings: Settings) -> Iterator[Published]:
    opened = Published(built_module_settings)
    yield opened
    opened.ledger.dispose()


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets a table be published by its keys however small it is, and tells which were."""
    monkeypatch.setattr(notes, "ROWS_A_KEY", 0)
    found: list[str] = []
    by_key = notes.Change.by_key

    def noticed(change: notes.Change, columns: dict[str, str], rows: int) -> str | None:
        key = by_key(change, columns, rows)
        found.extend([key] if key else [])
        return key

    monkeypatch.setattr(notes.Change, "by_key", noticed)
    return found


@hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(steps=streams(len(FATES)), fates=st.permutations(FATES))
def test_what_is_published_is_what_was_built(
    published: Published, replaced: list[str], steps: list[Step], fates: Sequence[str]
) -> None:
    late: list[str] = []
    for step, fate in zip(steps, fates, strict=True):
        load_id = published.land(step)
        published.as_of += timedelta(hours=step.hours)
        published.suffer(fate)
        for earlier in late:
            published.warehouse.complete(earlier)
        late = [load_id] if step.late else []
    published.build()
    published.publish()
    # Whatever came before, and however much the file has grown by it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draft_duckdb, "GROWTH", 1000)
        change_each_kind(published)
        published.publish()
    assert len(set(replaced)) > 2, "several marts were published by their keys"


def send(published: Published, *changes: Change) -> None:
    """Land changes as one load."""
    published.loads += 1
    rows = [(*record(change), False) for change in changes]
    received_at = START + timedelta(hours=published.loads)
    published.warehouse.land(f"{published.loads}.5", rows, received_at=received_at)


def change_each_kind(published: Published) -> None:
    """Land a new version of a company, feedback and an order, and build a day later."""
    version = published.loads
    send(
        published,
        Change("companies", 8, version, 1),
        Change("feedback", 8, version, 1),
        Change("orders", 8, version, 0b110000),
    )
    published.as_of += timedelta(days=1)
    published.build()


def orders(published: Published, version: int, noise: int) -> None:
    """Land and build a version of an order; `noise` decides its items."""
    send(published, Change("orders", 9, version, noise))
    published.build("+fct_sales")


def test_facts_of_each_kind_and_history_are_published_by_their_keys(
    published: Published, replaced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # However much was published before: a file that has grown much is copied as a whole.
    monkeypatch.setattr(draft_duckdb, "GROWTH", 1000)
    for _ in range(2):
        change_each_kind(published)
        replaced.clear()
        published.publish()
    assert {"order_id", "feedback_id", "company_health_history_key"} <= set(replaced)


def test_an_order_that_loses_its_last_item_loses_it_for_readers(
    published: Published, replaced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft_duckdb, "GROWTH", 1000)
    for version, noise in ((1, 0b11110000), (2, 0b110000), (3, 0), (4, 0b110000)):
        orders(published, version, noise)
        published.publish()
        assert replaced.pop() == "order_id"


@pytest.mark.parametrize("lost", ["working", "published"])
def test_what_the_notes_do_not_begin_with_is_copied_as_a_whole(
    published: Published, replaced: list[str], tmp_path: Path, lost: str
) -> None:
    settings = published.settings
    if settings.postgres_url is not None:
        pytest.skip("marts, notes and what is published are one database on PostgreSQL")
    orders(published, 5, 0b110000)
    published.publish()
    backup = shutil.copyfile(settings.warehouse_path, tmp_path / "backup.duckdb")
    replaced.clear()
    orders(published, 6, 0b11110000)
    if lost == "working":
        published.publish()
        replaced.clear()
        shutil.copyfile(backup, settings.warehouse_path)
    else:
        settings.published_path.unlink()
    published.publish()
    assert replaced == []


def test_a_published_file_that_is_only_changed_does_not_grow_without_bound(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = published.settings
    if settings.postgres_url is not None:
        pytest.skip("PostgreSQL gives room back by itself")
    published.publish()
    shown = settings.published_path.resolve().stat().st_size
    copied: list[Path | None] = []
    begin = publish_duckdb.begin_draft
    monkeypatch.setattr(
        publish_duckdb,
        "begin_draft",
        lambda database, draft, base: (copied.append(base), begin(database, draft, base)),
    )
    for growth in (2, 0.5, 2):
        monkeypatch.setattr(draft_duckdb, "GROWTH", growth)
        published.publish()
    assert [base is not None for base in copied] == [True, False, True]
    assert settings.published_path.resolve().stat().st_size < 2 * shown
