"""From SIGKILL of the service to everything accepted visible, with older events in the marts.

The service takes events in and is killed before any of them has landed; the clock runs from the
kill, over the start of a new process, until that says that nothing waits and all is built.
"""

import subprocess
import sys
import time

from benchmarks.freshness import VISIBLE
from benchmarks.load import COMPANIES
from benchmarks.measure import figure, quick
from benchmarks.raw_rows import warehouse_with_feedback
from ledger.settings import Settings
from serving.reader import open_published

GOAL_SECONDS = 30.0


def start(settings: Settings) -> tuple["subprocess.Popen[str]", str]:
    """A service that has built everything, and its port."""
    command = [sys.executable, "-m", "benchmarks.webhook_server", "service", str(settings.home)]
    if settings.postgres_url is not None:
        command.append(settings.postgres_url.render_as_string(hide_password=False))
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, server.stdout.readline().strip()


def measure(engine: str, events: int, older: int) -> float:
    """Seconds from the kill."""
    with warehouse_with_feedback(engine, COMPANIES, older) as settings:
        server, port = start(settings)
        load = [sys.executable, "-m", "benchmarks.load", port, str(events), "0"]
        subprocess.run(load, stdout=subprocess.DEVNULL, check=True)
        killed = time.perf_counter()
        server.kill()
        server.wait()
        server, _ = start(settings)
        passed = time.perf_counter() - killed
        server.kill()
        server.wait()
        with open_published(settings) as reader:
            found = reader.fetch(VISIBLE)[0][0]
        assert found == events, found
    return passed


def main() -> None:
    """Print the figures."""
    events, older = (500, 5_000) if quick() else (5_000, 1_000_000)
    for engine in ("duckdb", "postgres"):
        passed = measure(engine, events, older)
        figure(
            f"SIGKILL to visible, {events:,} waiting, {older:,} older, of {GOAL_SECONDS:.0f} s",
            engine,
            passed / GOAL_SECONDS,
            "≤ 1",
            f"{passed:.1f} s",
        )


if __name__ == "__main__":
    main()
