"""From a fault to the message about it, and alarms in healthy cycles, while the service runs.

A real service pulls from a real API; faults are put in between two of its cycles, and a local
address takes the messages. The time of a fault is set against the time until a second cycle begins
after it: at most 1 says that the first cycle that could meet it was enough. Then all is left in
peace for many cycles, most with nothing new and some with news, and no message may come.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from sqlalchemy import Engine, func, select

from benchmarks.measure import empty_warehouse, figure, quick
from benchmarks.raw_rows import RawFiller
from demo import SOURCES, DemoServer, generate
from ledger.engine import open_ledger
from ledger.lock import run_lock
from ledger.settings import Settings
from ledger.tables import pipeline_runs
from loaders.target import Target
from operations.service.serve import Service
from operations.service.settings import ServiceSettings

TOKEN = "bench"
NEWS_EVERY = 10
PATIENCE_SECONDS = 300.0
SOURCE_SETTINGS = {
    "RETRY_INITIAL_SECONDS": "0.1",
    "RETRY_MAX_SECONDS": "0.5",
    "MAX_ATTEMPTS": "3",
    "REQUESTS_PER_MINUTE": "100000",
    "BREAKER_FAILURES": "1000",
}


class Sink:
    """Takes alerts as a webhook, and notes when."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, str]] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                sink.messages.append((time.time(), body["message"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def first(self, beginning: str) -> float | None:
        """When the first message that begins so came."""
        return next((at for at, text in self.messages if text.startswith(beginning)), None)


@dataclass(frozen=True)
class Fault:
    """What is done to a warehouse at work, and how the message about it begins."""

    name: str
    source: str
    inject: Callable[[], object]
    mend: Callable[[], object]
    message: str


class Bench:
    """One service at work, with its API and its sink."""

    def __init__(self, settings: Settings, ledger: Engine, api: DemoServer, sink: Sink) -> None:
        self.settings, self.ledger, self.api, self.sink = settings, ledger, api, sink
        self.service = Service(settings, ServiceSettings(port=0, sync_token=TOKEN))
        self._version = datetime.now(UTC)

    def begun(self, since: float) -> list[float]:
        """When the cycles began that began since then."""
        columns = pipeline_runs.c
        query = select(columns.started_at).where(
            columns.command == "serve", columns.started_at > datetime.fromtimestamp(since, UTC)
        )
        with self.ledger.connect() as connection:
            moments = connection.scalars(query.order_by(columns.started_at))
            return [moment.timestamp() for moment in moments]

    def done(self) -> int:
        """Cycles that ended."""
        ended = (pipeline_runs.c.command == "serve") & (pipeline_runs.c.status != "running")
        with self.ledger.connect() as connection:
            return connection.scalar(select(func.count()).where(ended)) or 0

    def ask(self, source: str, *, news: bool) -> None:
        """Let the next cycle pull a source, which has changed or not."""
        if news:
            self._version += timedelta(seconds=1)
            record = {"id": "bench", "updated_at": self._version.isoformat()}
            ticket = {"subject": "s", "priority": "low", "status": "open"}
            created = {"created_at": "2026-01-01T00:00:00Z"}
            self.api.store.upsert("support", "tickets", record | ticket | created)
        answer = httpx.post(
            f"http://127.0.0.1:{self.service.port}/sync/{source}",
            headers={"authorization": f"Bearer {TOKEN}"},
            timeout=60,
        )
        answer.raise_for_status()

    def pull(self, source: str, *, news: bool) -> None:
        """Pull a source, and wait for the cycle that does."""
        before = self.done()
        self.ask(source, news=news)
        wait_until(lambda: self.done() > before and self.service.is_idle)

    def measure(self, fault: Fault) -> tuple[float, float]:
        """Seconds from a fault to its message, and to the begin of the second cycle after it."""
        wait_until(lambda: self.service.is_idle)
        self.sink.messages.clear()
        with run_lock(self.settings, "bench", PATIENCE_SECONDS):
            fault.inject()
            injected = time.time()
        self.ask_until(fault.source, lambda: len(self.begun(injected)) > 1)
        second = self.begun(injected)[1]
        self.ask_until(fault.source, lambda: self.sink.first(fault.message) is not None)
        noticed = self.sink.first(fault.message) or 0.0
        with run_lock(self.settings, "bench", PATIENCE_SECONDS):
            fault.mend()
        healed = f"{fault.message}: well again"
        self.ask_until(fault.source, lambda: self.sink.first(healed) is not None)
        return noticed - injected, second - injected

    def ask_until(self, source: str, is_so: Callable[[], bool]) -> None:
        """Let every cycle have something to do, until it is so."""

        def asked() -> bool:
            self.ask(source, news=True)
            return is_so()

        wait_until(asked)

    def healthy(self, cycles: int) -> int:
        """Messages while nothing is wrong."""
        wait_until(lambda: self.service.is_idle)
        self.sink.messages.clear()
        for number in range(cycles):
            self.pull("support", news=number % NEWS_EVERY == 0)
        return len(self.sink.messages)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


def faults(settings: Settings, api: DemoServer) -> Iterator[Fault]:
    """One of each kind: a source, a model, the data of a mart."""
    target, table = Target(settings), f"{settings.working_schema('core')}.fct_support_tickets"

    def api_is(spec: str | None) -> Callable[[], None]:
        return lambda: setattr(api, "faults", spec)

    def run(statement: str) -> Callable[[], None]:
        return lambda: target.execute(statement)

    def lands(priority: str) -> Callable[[], None]:
        # A rule that only the marts have is broken by what a contract let through.
        return lambda: RawFiller(settings).ticket(
            str(time.time()), priority, datetime.now(UTC).isoformat()
        )

    yield Fault("API down", "crm", api_is("outage"), api_is(None), "source:crm")
    yield Fault("token revoked", "support", api_is("unauthorized"), api_is(None), "source:support")
    yield Fault(
        "model broken",
        "support",
        run(f"alter table {table} add column in_the_way integer"),
        run(f"alter table {table} drop column in_the_way"),
        "build",
    )
    yield Fault(
        "bad mart data",
        "support",
        lands("bad"),
        lands("high"),
        "quality",
    )


@contextmanager
def at_work(engine: str) -> Iterator[Bench]:
    """A service that has built everything once."""
    sink, store = Sink(), generate(7, 0.02, datetime.now(UTC))
    os.environ["ALERTS__URLS"] = f"json://127.0.0.1:{sink.server.server_port}"
    with empty_warehouse(engine) as settings, DemoServer(store) as api:
        for source in SOURCES:
            values = SOURCE_SETTINGS | {"BASE_URL": api.base_url(source), "API_TOKEN": api.token}
            for name, value in values.items():
                os.environ[f"SOURCES__{source.upper()}__{name}"] = value
        ledger = open_ledger(settings)
        bench = Bench(settings, ledger, api, sink)
        with bench.service:
            wait_until(lambda: bench.done() > 0 and bench.service.is_idle)
            for source in SOURCES:
                bench.pull(source, news=True)
            yield bench
        ledger.dispose()
    sink.server.shutdown()


def main() -> None:
    """Print the figures."""
    cycles = 20 if quick() else 200
    for engine in ("duckdb", "postgres"):
        with at_work(engine) as bench:
            for fault in faults(bench.settings, bench.api):
                noticed, second = bench.measure(fault)
                told = f"told after {noticed:.1f} s; a second cycle began after {second:.1f} s"
                name = f"{fault.name}: fault to message, of a cycle"
                figure(name, engine, noticed / second, "≤ 1", told)
            alarms = bench.healthy(cycles)
        told = f"{alarms} messages in {cycles} cycles"
        figure("false alarms, of healthy cycles", engine, alarms / cycles, "≤ 0", told)


if __name__ == "__main__":
    main()
