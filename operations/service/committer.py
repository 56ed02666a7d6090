"""Group commit: requests that arrive together share one commit of the ledger.

request ─▶ queue ─▶ one transaction at a time, in a thread ─▶ each request hears its outcome.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from ledger.inbox import Event, Outcome, accept, waiting_count

EVENTS_A_COMMIT = 500
ATTEMPTS = 3
Argument = TypeVar("Argument")
T = TypeVar("T")


class QueueFullError(Exception):
    """As many events wait as may wait."""


class Committer:
    """Takes events into the inbox; used from one event loop."""

    def __init__(self, ledger: Engine, queue_limit: int) -> None:
        self._ledger = ledger
        self._queue_limit = queue_limit
        self._queue: list[tuple[Event, asyncio.Future[Outcome]]] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._task: asyncio.Task[None] | None = None
        self._waiting = 0
        self._connection: Connection | None = None

    async def start(self) -> None:
        """Count what waits already and begin to commit."""
        self._waiting = await self._in_thread(waiting_count, self._ledger)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Commit what is queued and end."""
        while self._queue:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()

    def set_waiting(self, number: int) -> None:
        """How many events wait now; the worker tells after it has landed some."""
        self._waiting = number

    async def take(self, event: Event) -> Outcome:
        """Store an event; returns once it is durable.

        Raises:
            QueueFullError: nothing was stored.
            sqlalchemy.exc.DBAPIError: the store is down; nothing was stored.
        """
        if self._waiting + len(self._queue) >= self._queue_limit:
            raise QueueFullError
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append((event, outcome))
        self._wake.set()
        return await outcome

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._commit(self._queue[:EVENTS_A_COMMIT])

    async def _commit(self, group: list[tuple[Event, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self._in_thread(self._store, [event for event, _ in group])
        except Exception as error:
            del self._queue[: len(group)]
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        del self._queue[: len(group)]
        for (_, future), outcome in zip(group, outcomes, strict=True):
            self._waiting += outcome is Outcome.ACCEPTED
            if not future.done():
                future.set_result(outcome)

    def _store(self, events: list[Event]) -> list[Outcome]:
        """Another process may store the same id at the same time: look again then."""
        for _ in range(ATTEMPTS - 1):
            try:
                return self._transaction(events)
            except IntegrityError:
                continue
        return self._transaction(events)

    def _transaction(self, events: list[Event]) -> list[Outcome]:
        # One connection for all commits: taking it from the pool each time costs a round trip.
        connection = self._connection or self._ledger.connect()
        self._connection = None
        try:
            with connection.begin():
                outcomes = accept(connection, events)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return outcomes

    async def _in_thread(self, call: Callable[[Argument], T], argument: Argument) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, argument)
