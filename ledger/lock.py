"""One run at a time on a target: a file lock below the home, on PostgreSQL an advisory lock too.

Both vanish with their process, so a killed run never leaves a lock behind.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from ledger.errors import LockedError, TargetError
from ledger.runs import now
from ledger.settings import Settings

ADVISORY_KEY = 0x6865616C7468  # "health"
POLL_SECONDS = 0.2


@contextmanager
def run_lock(settings: Settings, command: str, wait_seconds: float) -> Iterator[None]:
    """Hold the target; waits up to `wait_seconds` for another run to end.

    Raises:
        LockedError: somebody else still holds it; the message says who, where and since when.
        TargetError: PostgreSQL cannot be reached.
    """
    path = settings.home / "run.lock"
    holder_path = settings.home / "run.lock.json"
    holder = {"command": command, "pid": os.getpid(), "host": socket.gethostname()}
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait_seconds, poll_interval=POLL_SECONDS)
    except Timeout as error:
        raise LockedError(_message(settings, _read(holder_path))) from error
    try:
        holder_path.write_text(json.dumps(holder | {"since": now().isoformat()}))
        if settings.postgres_url is None:
            yield
        else:
            with _advisory_lock(settings, holder, wait_seconds):
                yield
    finally:
        lock.release()


@contextmanager
def _advisory_lock(
    settings: Settings, holder: dict[str, Any], wait_seconds: float
) -> Iterator[None]:
    name = f"warehouse {holder['command']} pid {holder['pid']} on {holder['host']}"[:63]
    engine = create_engine(settings.ledger_url, connect_args={"application_name": name})
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    except DBAPIError as error:
        place = settings.ledger_url.render_as_string(hide_password=True)
        reason = str(error.orig).strip().splitlines()[0]
        raise TargetError(f"cannot connect to {place}: {reason}") from error
    try:
        if not _poll(lambda: _try_lock(connection), wait_seconds):
            raise LockedError(_message(settings, _postgres_holder(connection)))
        try:
            yield
        finally:
            # The server sees a connection end a moment later: the next command would meet the lock.
            with suppress(DBAPIError):
                connection.execute(text("select pg_advisory_unlock(:k)"), {"k": ADVISORY_KEY})
    finally:
        connection.close()
        engine.dispose()


def _try_lock(connection: Connection) -> bool:
    return bool(connection.scalar(text("select pg_try_advisory_lock(:k)"), {"k": ADVISORY_KEY}))


def _postgres_holder(connection: Connection) -> dict[str, Any]:
    query = text(
        "select activity.application_name as command, activity.backend_start as since"
        " from pg_locks as locks join pg_stat_activity as activity on activity.pid = locks.pid"
        " where locks.locktype = 'advisory' and locks.granted"
        " and (locks.classid::bigint << 32 | locks.objid::bigint) = :k"
    )
    row = connection.execute(query, {"k": ADVISORY_KEY}).mappings().first()
    return dict(row) if row else {}


def _poll(attempt: Callable[[], bool], wait_seconds: float) -> bool:
    deadline = time.monotonic() + wait_seconds
    while not attempt():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _read(path: Any) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}


def _message(settings: Settings, holder: dict[str, Any]) -> str:
    who = holder.get("command", "another run")
    if "pid" in holder:
        who = f"`{who}` (pid {holder['pid']} on {holder['host']})"
    since = f", since {holder['since']}" if "since" in holder else ""
    return (
        f"target {settings.target!r} is in use by {who}{since}; "
        "wait for it to end, or give --wait SECONDS"
    )
