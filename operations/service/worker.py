"""The worker: every few seconds land what arrived, and build what is downstream of it.

It starts with a build of everything, so that whatever an earlier process left behind is made good.
A cycle that fails keeps its news for the next one; cycles that fail in a row come slower.
"""

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ledger.errors import SettingsError, WarehouseError
from ledger.inbox import waiting_count
from ledger.runs import now
from ledger.settings import Settings
from loaders.dbt_sources import selectors_of
from loaders.dead_letters import register_landed
from loaders.inbox_landing import InboxLanding
from loaders.sources import SOURCES
from loaders.sources.base import configured
from loaders.stream import StreamReader
from loaders.target import Target
from operations.cycle import run_cycle
from operations.maintenance import maintain
from operations.monitor.supervisor import Supervisor, show_health
from operations.plan import CycleResult, Plan
from operations.progress import Reporter
from operations.service.schedule import Schedule
from operations.service.settings import ServiceSettings

LONGEST_PAUSE_SECONDS = 15.0
LOCK_SECONDS = 600.0
POLL_SECONDS = 0.5
WATCH_SECONDS = 5.0

log = logging.getLogger("warehouse")


class Worker:
    """Runs cycles in a thread of its own until it is stopped."""

    def __init__(
        self,
        settings: Settings,
        service: ServiceSettings,
        ledger: Engine,
        stream: StreamReader | None = None,
        supervisor: Supervisor | None = None,
        *,
        command: str = "serve",
    ) -> None:
        self._command = command
        self._settings = settings
        self._service = service
        self._ledger = ledger
        self._stream = stream
        self._supervisor = supervisor
        self._watched_at = 0.0
        self.told_waiting: Callable[[int], None] = lambda _: None
        """Hears how many events wait, whenever that was counted."""
        self._inbox = InboxLanding(settings, ledger)
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._schedule = Schedule(service.schedules, now())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker")
        self._due: set[str] = set()
        self._news: frozenset[str] | None = None
        """Raw tables that no build has seen; None: nothing was built yet."""
        self._is_refused = False
        """Whether the newest build did not reach readers."""
        self._failures = 0
        self._is_busy = False
        self._is_warm = False

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """End after the cycle that runs; what waits goes on waiting, durably."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def is_idle(self) -> bool:
        """Whether no cycle runs and no landed row waits for a build."""
        return not self._is_busy and self._news == frozenset()

    @property
    def is_alive(self) -> bool:
        """Whether cycles are run."""
        return self._thread.is_alive()

    def request_sync(self, source: str) -> None:
        """Sync a source with the next cycle."""
        self._requests.put(source)

    def _run(self) -> None:
        while not self._stop.is_set():
            begin = time.monotonic()
            worked = False
            try:
                if self._has_work():
                    worked = self._is_busy = True
                    self._cycle()
                self._failures = 0
            except (WarehouseError, SQLAlchemyError) as error:
                self._failures += 1
                log.error("cycle failed: %s", " ".join(str(error).split()))
            except Exception:
                self._failures += 1
                log.exception("cycle failed for a reason that nobody foresaw")
            self._watch(worked=worked)
            if worked and not self._is_warm:
                # What the first cycle has loaded stays. Python would search all of it for cycles
                # now and then, for half a second in which no request is answered.
                gc.freeze()
                self._is_warm = True
            self._is_busy = False
            pause = self._service.cycle_seconds * 2 ** min(self._failures, 10)
            self._wait(begin + min(pause, max(LONGEST_PAUSE_SECONDS, self._service.cycle_seconds)))

    def _watch(self, *, worked: bool) -> None:
        """Check how things are after every cycle, and now and then when there is nothing to do."""
        is_due = time.monotonic() - self._watched_at >= WATCH_SECONDS
        if self._supervisor is None or not (worked or is_due):
            return
        self._watched_at = time.monotonic()
        try:
            if self._supervisor.observe().changed:
                show_health(self._settings, self._ledger)
        except Exception:
            log.exception("the checks failed for a reason that nobody foresaw")

    def _wait(self, until: float) -> None:
        """Until then, take messages of the stream; a full batch is landed at once."""
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            if self._stream is None or (self._stream.is_full and self._failures):
                self._stop.wait(left)
            elif self._stream.is_full:
                return
            else:
                self._stream.poll(min(left, POLL_SECONDS))

    def _has_work(self) -> bool:
        while not self._requests.empty():
            self._due.add(self._requests.get())
        self._due |= set(self._schedule.due(now()))
        waiting = waiting_count(self._ledger)
        self.told_waiting(waiting)
        streamed = self._stream is not None and self._stream.poll(0)
        return bool(waiting or streamed or self._due or self._news is None or self._news)

    def _cycle(self) -> None:
        if self._news is None:
            self._begin()
        plan, self._news = self._plan(), None
        # Until the cycle is through nobody knows what it landed: if it ends early, all is built.
        result = run_cycle(self._settings, plan, Reporter(silent=True), self._ledger)
        if "maintain" in self._due:
            maintain(self._settings, dry_run=False, wait_seconds=LOCK_SECONDS)
        self.told_waiting(waiting_count(self._ledger))
        self._due.clear()
        self._is_refused = result.build is not None and result.publication is None
        self._news = None if self._is_refused else self._unbuilt(plan.news, result)
        if result.errors:
            raise WarehouseError("; ".join(result.errors))

    def _unbuilt(self, asked: frozenset[str] | None, result: CycleResult) -> frozenset[str] | None:
        """Raw tables that the next cycle has to build; None: everything."""
        if result.build is not None and result.build.succeeded:
            return frozenset()
        if asked is None:
            return None
        unbuilt = asked | result.news
        # Nothing may be downstream of what landed: then there is nothing to build.
        return unbuilt if selectors_of(unbuilt) else frozenset()

    def _begin(self) -> None:
        """Make good what an earlier process left behind, then build everything once."""
        events = self._inbox.heal()
        if events:
            log.warning("raw lacks %d events that had landed; they land again", events)
        register_landed(Target(self._settings), self._ledger)

    def _plan(self) -> Plan:
        plan = Plan(
            self._command,
            sources=self._sources(),
            full="reconcile" in self._due,
            wait_seconds=LOCK_SECONDS,
            inbox=self._inbox,
            stream=self._stream,
            news=self._news,
            tests=False,
        )
        if self._news is None or "build" in self._due:
            # What was refused is tried again as a whole, so that every test that failed runs again.
            tests = "build" in self._due or self._is_refused
            return replace(plan, news=None, selectors=(), tests=tests)
        return plan

    def _sources(self) -> list[str]:
        """Sources that are due; a scheduled one without settings is left out."""
        asked = set(SOURCES) if "reconcile" in self._due else self._due & set(SOURCES)
        found = []
        for name in SOURCES:
            if name not in asked:
                continue
            try:
                configured(SOURCES[name])
            except SettingsError as error:
                log.debug("%s", error)
                continue
            found.append(name)
        return found
