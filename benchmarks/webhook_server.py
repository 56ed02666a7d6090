"""The servers that `webhook_intake` compares, each in a process of its own.

`python -m benchmarks.webhook_server bare|service HOME [POSTGRES_URL]` prints its port. The bare one
is what one would write by hand for the same promise: verify, one row, one commit for all requests
that came meanwhile; no contract, no dedup, no limits.
"""

import asyncio
import hashlib
import json
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import uvicorn
from psycopg2.extras import execute_values
from sqlalchemy import make_url
from standardwebhooks import Webhook

from benchmarks.load import SECRET
from ledger.settings import Settings
from operations.service.serve import Service
from operations.service.settings import ServiceSettings

Row = tuple[str, str, str, bytes, str, str]
COLUMNS = "source text, event_id text, event_type text, body {}, body_hash text, received_at text"
INSERT = "insert into bare (source, event_id, event_type, body, body_hash, received_at) values "


def sqlite_store(home: Path) -> Callable[[list[Row]], None]:
    """Commits rows to SQLite, as durably as the ledger."""
    connection = sqlite3.connect(home / "bare.sqlite", check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"pragma {pragma}")
    connection.execute(f"create table bare ({COLUMNS.format('blob')})")

    def store(rows: list[Row]) -> None:
        with connection:
            connection.executemany(INSERT + "(?, ?, ?, ?, ?, ?)", rows)

    return store


def postgres_store(settings: Settings) -> Callable[[list[Row]], None]:
    """Commits rows to PostgreSQL."""
    connection = psycopg2.connect(**settings.postgres_parameters())
    with connection, connection.cursor() as cursor:
        cursor.execute(f"create table bare ({COLUMNS.format('bytea')})")

    def store(rows: list[Row]) -> None:
        with connection, connection.cursor() as cursor:
            execute_values(cursor, INSERT + "%s", rows)

    return store


class Bare:
    """The ASGI application by hand."""

    def __init__(self, store: Callable[[list[Row]], None]) -> None:
        self._store = store
        self._webhook = Webhook(SECRET)
        self._queue: list[tuple[Row, asyncio.Future[None]]] = []
        self._thread = ThreadPoolExecutor(1)
        self._busy = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self._webhook.verify(body, headers, json_parse=False)
        event = json.loads(body)
        hashed = hashlib.sha256(body).hexdigest()
        at = datetime.now(UTC).isoformat()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((("support", event["id"], event["type"], body, hashed, at), done))
        if not self._busy:
            self._busy = True
            asyncio.ensure_future(self._commit())  # noqa: RUF006
        await done
        answer = b'{"status":"accepted"}'
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 202, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})

    async def _commit(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            group, self._queue = self._queue, []
            await loop.run_in_executor(self._thread, self._store, [row for row, _ in group])
            for _, done in group:
                done.set_result(None)
        self._busy = False


def main() -> None:
    """Serve until killed."""
    kind, home = sys.argv[1], Path(sys.argv[2])
    settings = Settings(home)
    if len(sys.argv) > 3:
        settings = Settings(home, "prod", make_url(sys.argv[3]))
    if kind == "service":
        os.environ["WEBHOOKS__SUPPORT__SECRETS"] = SECRET
        # Landing is no part of the comparison: no cycle follows the first, which builds nothing.
        with Service(settings, ServiceSettings(port=0, cycle_seconds=3600)) as service:
            while not service.is_idle:
                time.sleep(0.1)
            print(service.port, flush=True)
            sys.stdin.read()
        return
    store = sqlite_store(home) if settings.postgres_url is None else postgres_store(settings)
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    print(bound.getsockname()[1], flush=True)
    config = uvicorn.Config(Bare(store), log_config=None, access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    main()
