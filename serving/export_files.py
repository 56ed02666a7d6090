"""An export into a file or a stream: parts ─▶ `<out>.part` ─▶ `<out>` and its manifest.

`<out>.part.json` says which parts are in `<out>.part`, after each of them. A process that is killed
leaves both; `--resume` drops what came after the last whole part and goes on. If a newer version
was published meanwhile, its bytes differ and the export starts anew.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Engine

from ledger.errors import RequestError
from ledger.export_jobs import ExportJob
from ledger.settings import Settings
from serving.exports import CHUNK, Export, ExportRequest, open_export

Progress = Callable[[int, int, int], None]
"""Called with rows done, rows in all and bytes done."""
STARTED_ANEW = "the partial file is of another version or request; starting anew"


@dataclass
class _Done:
    """What is in the file."""

    key: str
    parts: list[list[int]] = field(default_factory=list)
    """Rows and bytes of each."""

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.parts)

    @property
    def size(self) -> int:
        return sum(size for _, size in self.parts)


def export_to_file(
    settings: Settings,
    ledger: Engine,
    request: ExportRequest,
    out: Path,
    *,
    resume: bool,
    progress: Progress,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Export into a file; gives its manifest, which is beside it as `<out>.manifest.json`.

    Raises:
        NotPublishedError, NotFoundError, RequestError: as `open_export`, or the file cannot be
        written.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as folder,
            open_export(settings, request, alone=True) as export,
        ):
            finished = _finished(export, out) if resume else None
            if finished is not None:
                say(f"{out} is complete already")
                return finished
            return _write(ledger, export, out, Path(folder), resume, progress, say)
    except OSError as error:
        raise RequestError(f"cannot write {out}: {error.strerror or error}") from error


def export_to_stream(
    settings: Settings,
    ledger: Engine,
    request: ExportRequest,
    stream: BinaryIO,
    progress: Progress,
) -> dict[str, Any]:
    """Export into a stream such as standard output; gives the manifest."""
    with (
        tempfile.TemporaryDirectory(prefix="export-") as folder,
        open_export(settings, request, alone=True) as export,
    ):
        job = ExportJob(ledger, export.title("standard output"), export.rows_total)
        digest = hashlib.sha256()
        try:
            done = _append(export, Path(folder), stream, digest, _Done(export.key), job, progress)
            stream.flush()
        except BaseException as error:
            job.failed(str(error) or type(error).__name__)
            raise
        job.done(done.rows, done.size)
        return export.manifest(done.rows, done.size, digest.hexdigest())


def _write(
    ledger: Engine,
    export: Export,
    out: Path,
    folder: Path,
    resume: bool,
    progress: Progress,
    say: Callable[[str], None],
) -> dict[str, Any]:
    partial, state = _beside(out, ".part"), _beside(out, ".part.json")
    done = _resumed(export, partial, state, say) if resume else _Done(export.key)
    digest = hashlib.sha256()
    job = ExportJob(ledger, export.title(str(out)), export.rows_total)
    job.resumed_at(done.rows)
    try:
        with partial.open("r+b" if done.parts else "w+b") as file:
            file.truncate(done.size)
            while chunk := file.read(CHUNK):
                digest.update(chunk)
            _append(export, folder, file, digest, done, job, progress, state)
        manifest = export.manifest(done.rows, done.size, digest.hexdigest())
        partial.replace(out)
        _write_json(_manifest_path(out), manifest)
        state.unlink()
    except BaseException as error:
        job.failed(str(error) or type(error).__name__)
        raise
    job.done(done.rows, done.size)
    return manifest


def _append(
    export: Export,
    folder: Path,
    file: BinaryIO,
    digest: Any,
    done: _Done,
    job: ExportJob,
    progress: Progress,
    state: Path | None = None,
) -> _Done:
    for part in export.parts(folder, len(done.parts)):
        with part.path.open("rb") as made:
            while chunk := made.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
        done.parts.append([part.rows, part.path.stat().st_size])
        part.path.unlink()
        if state is not None:
            file.flush()
            _write_json(state, vars(done))
        job.moved(done.rows, done.size)
        progress(done.rows, export.rows_total, done.size)
    return done


def _resumed(export: Export, partial: Path, state: Path, say: Callable[[str], None]) -> _Done:
    """What of the partial file can stay."""
    fresh = _Done(export.key)
    try:
        found = _Done(**json.loads(state.read_text()))
        size = partial.stat().st_size
    except (OSError, ValueError, TypeError):
        say("there is nothing to resume; starting")
        return fresh
    if found.key != export.key or size < found.size:
        say(STARTED_ANEW)
        return fresh
    if not export.request.is_resumable:
        say("a Parquet file is written in one go; starting anew")
        return fresh
    say(f"resuming after {found.rows:,} rows")
    return found


def _finished(export: Export, out: Path) -> dict[str, Any] | None:
    """The manifest of an earlier export with the same bytes."""
    try:
        manifest: dict[str, Any] = json.loads(_manifest_path(out).read_text())
        size = out.stat().st_size
    except (OSError, ValueError):
        return None
    same = export.manifest(manifest.get("rows", 0), size, manifest.get("sha256", ""))
    return manifest if manifest == same else None


def _manifest_path(out: Path) -> Path:
    return _beside(out, ".manifest.json")


def _beside(out: Path, suffix: str) -> Path:
    return out.with_name(out.name + suffix)


def _write_json(path: Path, value: Any) -> None:
    new = _beside(path, ".new")
    new.write_text(json.dumps(value, indent=2) + "\n")
    shutil.move(new, path)
