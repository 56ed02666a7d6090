"""Publishing: seconds against a bare copy of the same bytes, and what readers wait meanwhile.

DuckDB: a version against `cp` of the file it makes. PostgreSQL: the first version against `create
table as` of the same rows, then a version in which one row of a hundred differs. A reader asks for
a total all the time; its longest answer while a version is published is set against the one before.
Then a version in which 1,000 pieces of feedback were changed, with few older ones and with many.
"""

import shutil
import statistics
import threading
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from benchmarks.measure import empty_warehouse, figure, quick, seconds
from benchmarks.raw_rows import ITEMS_AN_ORDER, RawFiller, warehouse_with_feedback
from ledger.engine import open_ledger
from ledger.settings import Settings
from operations.dbt_runner import build
from serving.publish import publish
from serving.reader import open_published

AS_OF = datetime(2026, 1, 2, tzinfo=UTC)
TOTAL = "select sum(total_revenue) from sales.daily_sales"
MILLION = 1_000_000
FEW, MANY = 100_000, 2_000_000
CHANGED = 1_000
PUBLICATIONS = 7


class Reading:
    """Asks again and again; knows the longest answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.longest = 0.0

    def __enter__(self) -> "Reading":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            start = time.perf_counter()
            with open_published(self._settings) as reader:
                assert reader.fetch(TOTAL)
            self.longest = max(self.longest, time.perf_counter() - start)


def longest_read(settings: Settings, while_doing: float) -> float:
    """Seconds of the longest read in a while in which nothing else happens."""
    with Reading(settings) as reading:
        time.sleep(while_doing)
    return reading.longest


def bare_copy(settings: Settings, ledger: Engine) -> float:
    """Seconds of a copy of the same rows that promises nothing."""
    if settings.postgres_url is None:
        target = settings.home / "copy.duckdb"
        return seconds(lambda: shutil.copyfile(settings.published_path.resolve(), target))
    with ledger.begin() as connection:
        copy = text("create table public.copied as select * from working_core.fct_sales")
        return seconds(lambda: connection.execute(copy))


def measure(engine: str, facts: int) -> None:
    """Print the figures of one engine."""
    with empty_warehouse(engine) as settings:
        assert build(settings, command="seed").succeeded
        assert build(settings, command="run", as_of=AS_OF).succeeded
        filler = RawFiller(settings)
        orders = facts // ITEMS_AN_ORDER
        filler.orders("1.0", 0, orders, version="2026-01-02T00:00:00Z")
        assert build(settings, command="run", as_of=AS_OF).succeeded
        ledger = open_ledger(settings)
        first = seconds(lambda: publish(settings, ledger, "bench", AS_OF))
        bare = bare_copy(settings, ledger)
        filler.orders("2.0", 0, orders, version="2026-01-03T00:00:00Z", step=100)
        assert build(settings, command="run", as_of=AS_OF).succeeded
        with Reading(settings) as reading:
            changed = seconds(lambda: publish(settings, ledger, "bench", AS_OF))
        alone = longest_read(settings, max(changed, 1.0))
        ledger.dispose()
    told = f"{first / facts * MILLION:.2f} s a million facts; bare copy {bare:.2f} s"
    figure(f"first version of {facts:,} facts, of a bare copy", engine, first / bare, "≤ 20", told)
    told = f"{changed:.2f} s against {first:.2f} s"
    figure("a version with 1 % changed, of the first", engine, changed / first, "≤ 1.5", told)
    told = f"{reading.longest * 1000:.0f} ms while publishing, {alone * 1000:.0f} ms in quiet"
    figure("longest read while publishing", engine, reading.longest / alone, "≤ 5", told)


def changed_version(engine: str, older: int) -> float:
    """Seconds of a publication after changes of feedback: the median of several."""
    found = []
    with warehouse_with_feedback(engine, companies=1_000, events=older) as settings:
        filler, ledger = RawFiller(settings), open_ledger(settings)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        for number in range(PUBLICATIONS + 1):
            assert build(settings, command="run").succeeded
            taken = seconds(lambda: publish(settings, ledger, "bench", AS_OF))
            if number:
                found.append(taken)
            first, day = number * CHANGED, tomorrow.isoformat()
            filler.feedback(f"3.{number}", first, first + CHANGED, companies=1_000, day=day)
        ledger.dispose()
    return statistics.median(found)


def measure_history(engine: str, few: int, many: int) -> None:
    """Print what older rows add to a publication of the same changes."""
    with_few, with_many = (changed_version(engine, older) for older in (few, many))
    name = f"{CHANGED:,} changed rows with {many:,} older, of with {few:,}"
    told = f"{with_many:.2f} s against {with_few:.2f} s"
    figure(name, engine, with_many / with_few, "≤ 1.5", told)


def main() -> None:
    """Print the figures; PostgreSQL at a tenth of the size."""
    for engine, facts in (("duckdb", 10 * MILLION), ("postgres", MILLION)):
        measure(engine, facts // 100 if quick() else facts)
        measure_history(engine, *((FEW // 10, FEW) if quick() else (FEW, MANY)))


if __name__ == "__main__":
    main()
