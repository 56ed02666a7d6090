"""Readers kept open: a version ─▶ a reader of it or of a newer one, without opening it anew.

Opening the published file, or a connection to PostgreSQL, costs more than most figures.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg2

from ledger.errors import TargetError
from ledger.publications import Publication
from ledger.settings import Settings
from serving.reader import Reader, connect_published, current_version

SIZE = 8


class ReaderPool:
    """At most `SIZE` readers at work at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots = threading.BoundedSemaphore(SIZE)
        self._lock = threading.Lock()
        self._file: Reader | None = None
        self._connections: queue.LifoQueue[Any] = queue.LifoQueue()

    @contextmanager
    def reader(self, publication: Publication) -> Iterator[Reader]:
        """A reader of this version or a newer one.

        Raises:
            NotPublishedError, TargetError: it cannot be opened.
        """
        with self._slots:
            if self._settings.postgres_url is None:
                yield self._of_file(publication)
            else:
                yield from self._of_database()

    def close(self) -> None:
        """Close what is open."""
        while not self._connections.empty():
            self._connections.get().close()
        if self._file is not None:
            self._file.connection.close()

    def _of_file(self, publication: Publication) -> Reader:
        with self._lock:
            if self._file is None or self._file.publication != publication:
                connection = connect_published(self._settings)
                # The one before is closed when the last that reads it is done.
                self._file = Reader(current_version(connection), connection, "duckdb")
            return replace(self._file, connection=self._file.connection.cursor())

    def _of_database(self) -> Iterator[Reader]:
        reader = self._fresh()
        try:
            yield reader
            reader.connection.rollback()
        except BaseException:
            reader.connection.close()
            raise
        self._connections.put(reader.connection)

    def _fresh(self) -> Reader:
        """The snapshot begins with the first query, which asks for the version."""
        while True:
            try:
                connection = self._connections.get_nowait()
            except queue.Empty:
                connection = connect_published(self._settings)
                connection.rollback()
                return Reader(current_version(connection), connection, "postgres")
            try:
                return Reader(current_version(connection), connection, "postgres")
            except psycopg2.Error:
                # The server closed it meanwhile; the next one may be good.
                connection.close()
            except TargetError:
                connection.close()
                raise
