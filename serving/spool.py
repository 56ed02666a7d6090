"""Exports on their way to HTTP clients: a request ─▶ parts on disk ─▶ any number of answers.

The engine writes the parts at its own speed into `<home>/exports/<key>/`, and answers read them,
already while it does. So a slow client holds no snapshot, memory is constant, a broken answer goes
on by range, and two clients that ask for the same bytes cost one export. Complete ones are kept for
the next request, until their bytes are more than the limit: the longest unused go first.
"""

import hashlib
import json
import logging
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine

from ledger.errors import WarehouseError
from ledger.export_jobs import ExportJob
from ledger.settings import Settings
from serving.exports import CHUNK, Export, ExportRequest, open_export

WORKERS = 2
MAX_WAITING = 8
IN_USE_SECONDS = 60
MAX_BYTES = 20 * 1024**3
MANIFEST = "manifest.json"

log = logging.getLogger("warehouse")


class SpoolFullError(WarehouseError):
    """More exports wait than can be worked off soon."""


@dataclass
class Production:
    """An export in the spool. Parts are only ever added; `manifest` comes last."""

    key: str
    folder: Path
    parts: list[tuple[Path, int, int]] = field(default_factory=list)
    """File, bytes and rows of each."""
    manifest: dict[str, Any] | None = None
    error: str | None = None
    job: ExportJob | None = None
    users: int = 0
    used_at: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether no part will come."""
        return self.manifest is not None or self.error is not None

    @property
    def size(self) -> int:
        """Bytes so far."""
        return sum(size for _, size, _ in self.parts)

    @property
    def rows(self) -> int:
        """Rows so far."""
        return sum(rows for _, _, rows in self.parts)


class Spool:
    """Produces exports in the background while the context is open."""

    def __init__(self, settings: Settings, ledger: Engine, max_bytes: int = MAX_BYTES) -> None:
        self._settings = settings
        self._ledger = ledger
        self._max_bytes = max_bytes
        self._root = settings.home / "exports"
        self._lock = threading.Lock()
        self._stopping = False
        self._workers = ThreadPoolExecutor(WORKERS, "exports")
        self._productions: dict[str, Production] = {}

    def __enter__(self) -> Self:
        self._root.mkdir(exist_ok=True)
        for folder in self._root.iterdir():
            try:
                manifest = json.loads((folder / MANIFEST).read_text())
                self._productions[folder.name] = _kept(folder, manifest)
            except (OSError, ValueError, KeyError):
                # What a killed process left half-done.
                shutil.rmtree(folder, ignore_errors=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._workers.shutdown(cancel_futures=True)

    def open(self, request: ExportRequest) -> Production:
        """The export of the current version: one that there is, or one that begins now.

        Raises:
            NotPublishedError, NotFoundError, RequestError: as `open_export`.
            SpoolFullError: too many wait.
        """
        with ExitStack() as stack:
            export = stack.enter_context(open_export(self._settings, request))
            with self._lock:
                found = self._productions.get(export.key)
                if found is not None and found.error is None:
                    found.used_at = time.monotonic()
                    return found
                if sum(not one.is_over for one in self._productions.values()) >= MAX_WAITING:
                    raise SpoolFullError("too many exports are being written; try again later")
                self._make_room()
                production = self._begin(export)
            self._workers.submit(self._produce, export, production, stack.pop_all())
            return production

    def _begin(self, export: Export) -> Production:
        folder = self._root / export.key
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        job = ExportJob(self._ledger, export.title("api"), export.rows_total)
        production = Production(export.key, folder, job=job, used_at=time.monotonic())
        self._productions[export.key] = production
        return production

    def _produce(self, export: Export, production: Production, stack: ExitStack) -> None:
        job = production.job
        assert job is not None
        digest = hashlib.sha256()
        with stack:
            try:
                for part in export.parts(production.folder):
                    if self._stopping:
                        raise WarehouseError("the service stopped")
                    with part.path.open("rb") as file:
                        while chunk := file.read(CHUNK):
                            digest.update(chunk)
                    production.parts.append((part.path, part.path.stat().st_size, part.rows))
                    job.moved(production.rows, production.size)
                manifest = export.manifest(production.rows, production.size, digest.hexdigest())
                _keep(production, manifest)
                job.done(production.rows, production.size)
                production.manifest = manifest
            except Exception as error:
                production.error = str(error) or type(error).__name__
                log.error("export %s failed: %s", export.key, production.error)
                job.failed(production.error)

    def _make_room(self) -> None:
        """Drop what failed and, beyond the limit, what was not used for longest."""
        now = time.monotonic()
        idle = [
            one
            for one in self._productions.values()
            if one.is_over and not one.users and now - one.used_at > IN_USE_SECONDS
        ]
        total = sum(one.size for one in self._productions.values())
        for one in sorted(idle, key=lambda one: one.used_at):
            if one.error is None and total <= self._max_bytes:
                continue
            total -= one.size
            del self._productions[one.key]
            shutil.rmtree(one.folder, ignore_errors=True)


def _keep(production: Production, manifest: dict[str, Any]) -> None:
    parts = [[path.name, size, rows] for path, size, rows in production.parts]
    kept = {"manifest": manifest, "parts": parts}
    (production.folder / MANIFEST).write_text(json.dumps(kept))


def _kept(folder: Path, kept: dict[str, Any]) -> Production:
    parts = [(folder / name, size, rows) for name, size, rows in kept["parts"]]
    return Production(folder.name, folder, parts, kept["manifest"])
