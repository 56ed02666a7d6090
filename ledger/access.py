"""Who read what: requests ─▶ a list in memory ─▶ `access_log`, many in one commit.

A commit for each request would cost more than the answer. What waits, a tenth of a second's worth
at most, is written when the log is closed, and lost if the process is killed.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from types import TracebackType
from typing import Self

from sqlalchemy import Engine, bindparam, update
from sqlalchemy.exc import SQLAlchemyError

from ledger.driver_rows import insert_rows
from ledger.tables import access_log, api_tokens

FLUSH_SECONDS = 0.1
MOST_WAITING = 100_000
"""So many accesses are kept while the ledger cannot be written; the oldest are lost then."""
ROWS_A_STATEMENT = 1_000
"""SQLite takes 32,766 values."""

log = logging.getLogger("warehouse")


@dataclass(frozen=True, slots=True)
class Access:
    """One answered request; the token is the one that was named, valid or not."""

    token_id: str | None
    path: str
    account_id: str | None
    status: int
    accessed_at: datetime
    row_count: int | None = None
    byte_count: int | None = None


COLUMNS: tuple[str, ...] = Access.__slots__
_row = attrgetter(*COLUMNS)


class AccessLog:
    """Writes accesses in the background while the context is open."""

    def __init__(self, ledger: Engine) -> None:
        self._ledger = ledger
        self._waiting: list[Access] = []
        self._used: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._is_failing = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self.flush()

    def add(self, access: Access) -> None:
        """Note one; it costs no commit."""
        with self._lock:
            self._waiting.append(access)

    def use(self, token_id: str) -> None:
        """Note that a token was shown to be valid just now."""
        with self._lock:
            self._used[token_id] = datetime.now(UTC)

    def flush(self) -> None:
        """Write what waits; kept for the next time when the ledger cannot be written."""
        # Whoever flushes finds what another took before written, too.
        with self._flushing:
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            used, self._used = self._used, {}
        if not waiting and not used:
            return
        try:
            self._write(waiting, used)
        except SQLAlchemyError:
            if not self._is_failing:
                log.warning("%d accesses could not be logged yet", len(waiting))
            self._is_failing = True
            with self._lock:
                self._waiting = (waiting + self._waiting)[-MOST_WAITING:]
                self._used = used | self._used
        else:
            self._is_failing = False

    def _write(self, waiting: list[Access], used: dict[str, datetime]) -> None:
        change = (
            update(api_tokens)
            .where(api_tokens.c.token_id == bindparam("used_id"))
            .values(last_used_at=bindparam("used_at"))
        )
        with self._ledger.begin() as connection:
            for begin in range(0, len(waiting), ROWS_A_STATEMENT):
                some = map(_row, waiting[begin : begin + ROWS_A_STATEMENT])
                insert_rows(connection, access_log, COLUMNS, list(some))
            if used:
                rows = [{"used_id": id, "used_at": at} for id, at in used.items()]
                connection.execute(change, rows)

    def _run(self) -> None:
        while not self._stopped.wait(FLUSH_SECONDS):
            self.flush()
