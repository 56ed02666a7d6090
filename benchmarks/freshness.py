"""From 2xx to visible: 200 events a second, until each is in a mart; and the recovery from a kill.

Service and reader share this process; the load has its own. The reader sees what any reader sees:
the published version. The latency of an event is from its answer to the first look, four a second,
that finds it in `core.fct_feedback`; the health score of its company is built right after, in the
same cycle, and `health.company_health_metrics` is what ends the wait.
"""

import bisect
import json
import os
import subprocess
import sys
import threading
import time

from benchmarks.load import COMPANIES, SECRET
from benchmarks.measure import figure, quick
from benchmarks.raw_rows import warehouse_with_feedback
from ledger.settings import Settings
from operations.service.serve import Service
from operations.service.settings import ServiceSettings
from serving.reader import open_published

RATE = 200
GOAL_SECONDS = 10.0
# With none, all scores would be alike, and nothing would be published.
FEW = 20_000
# Ids of older events are numbers. A range, so that looking does not cost a processor: it is looked
# up in the index, or in the blocks that may hold it.
VISIBLE = """
    select count(*) from core.fct_feedback
    where feedback_id >= 'n' and feedback_id < 'o' and created_at <= (
        select min(calculated_at) from health.company_health_metrics
    )
"""


class Watch:
    """Notes how many events are visible, and since when."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.counts: list[int] = []
        self.times: list[float] = []

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.25):
            with open_published(self._settings) as reader:
                found = reader.fetch(VISIBLE)
            self.counts.append(int(found[0][0]) if found else 0)
            self.times.append(time.time())

    def seen(self, number: int) -> float:
        """When the `number`th event was visible first."""
        return self.times[bisect.bisect_left(self.counts, number)]


def measure(engine: str, seconds: int, older: int) -> list[float]:
    """Latency of each event in the order of the answers."""
    os.environ["WEBHOOKS__SUPPORT__SECRETS"] = SECRET
    events = RATE * seconds
    with warehouse_with_feedback(engine, COMPANIES, older) as settings:
        with Service(settings, ServiceSettings(port=0)) as service:
            while not service.is_idle:
                time.sleep(0.2)
            load = [sys.executable, "-m", "benchmarks.load", str(service.port), str(events)]
            with Watch(settings) as watch:
                done = subprocess.run([*load, str(RATE)], stdout=subprocess.PIPE, check=True)
                while not watch.counts or watch.counts[-1] < events:
                    time.sleep(0.2)
        answered = sorted(json.loads(done.stdout)["answered"])
        return [watch.seen(place + 1) - at for place, at in enumerate(answered)]


def main() -> None:
    """Print the figures."""
    seconds = 10 if quick() else 120
    for engine in ("duckdb", "postgres"):
        for older in (FEW,) if quick() else (FEW, 5_000_000):
            waits = measure(engine, seconds, older)
            halves = (waits[: len(waits) // 2], waits[len(waits) // 2 :])
            p50, p95, p99 = (sorted(waits)[int(len(waits) * part)] for part in (0.5, 0.95, 0.99))
            flat = " then ".join(f"{sorted(half)[int(len(half) * 0.95)]:.1f}" for half in halves)
            figure(
                f"2xx to visible, 200/s, {older:,} older events, of {GOAL_SECONDS:.0f} s",
                engine,
                p95 / GOAL_SECONDS,
                "≤ 1",
                f"p50 {p50:.1f} s, p95 {p95:.1f} s ({flat}), p99 {p99:.1f} s",
            )


if __name__ == "__main__":
    main()
