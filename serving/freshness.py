"""What is true now: version and tokens, read after each request came in, once for many requests.

A request waits for a look that began after it did, so it never sees a version older than the one
published, nor a token revoked, before it came. Requests that come during a look share the next one:
fifty connections cost little more than one.
"""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from ledger.errors import NotPublishedError
from ledger.publications import Publication
from ledger.settings import Settings
from ledger.tokens import Token, tokens_by_id
from serving.reader import CURRENT, open_published, publication_of


@dataclass(frozen=True)
class Look:
    """What was found; no publication when nothing is published yet."""

    publication: Publication | None
    tokens: dict[str, Token]


class Freshness:
    """Looks at the ledger and at what is published, in a thread of its own."""

    def __init__(self, settings: Settings, ledger: Engine) -> None:
        self._settings = settings
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, "freshness")
        self._waiting: list[tuple[str, asyncio.Future[Look]]] = []
        self._looking: asyncio.Task[None] | None = None
        self._known: tuple[Path, Publication] | None = None
        self._connection: Connection | None = None

    async def look(self, token_id: str) -> Look:
        """The state after this call; the token is in it if there is one."""
        future: asyncio.Future[Look] = asyncio.get_running_loop().create_future()
        self._waiting.append((token_id, future))
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._work())
        return await future

    def close(self) -> None:
        """End the thread."""
        self._thread.submit(self._disconnect)
        self._thread.shutdown()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            ids = {token_id for token_id, _ in batch}
            try:
                found = await loop.run_in_executor(self._thread, self._read, ids)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for _, future in batch:
                if not future.done():
                    future.set_result(found)

    def _read(self, ids: Iterable[str]) -> Look:
        """A connection of its own: one from the pool would cost a ping, a begin and a rollback."""
        fresh = self._connection is None
        if self._connection is None:
            opened = self._ledger.connect()
            self._connection = opened.execution_options(isolation_level="AUTOCOMMIT")
        try:
            tokens = tokens_by_id(self._connection, ids)
            if self._settings.postgres_url is None:
                return Look(self._of_file(), tokens)
            return Look(_of_database(self._connection), tokens)
        except DBAPIError:
            self._disconnect()
            if fresh:
                raise
            return self._read(ids)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _of_file(self) -> Publication | None:
        """Opens the file only when the link points to another one than before."""
        path = self._settings.published_path
        if not path.exists():
            return None
        link = path.readlink() if path.is_symlink() else path
        if self._known is not None and self._known[0] == link:
            return self._known[1]
        try:
            with open_published(self._settings) as reader:
                publication = reader.publication
        except NotPublishedError:
            return None
        if (path.readlink() if path.is_symlink() else path) == link:
            self._known = (link, publication)
        return publication


def _of_database(connection: Connection) -> Publication | None:
    try:
        row = connection.execute(text(CURRENT)).first()
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", "") in ("42P01", "3F000"):
            return None
        raise
    return None if row is None else publication_of(row)
