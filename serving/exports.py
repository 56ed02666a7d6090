"""Exports: a request ─▶ parts of one published version, in order ─▶ files whose bytes never differ.

The bytes of an export are a function of version, dataset, account, format and options, and so is
its key: two exports of one key are the same file, and one that broke off goes on where it stopped.
Each part is written to a file of its own while those before are taken; a compressed part is a
member (gzip) or frame (zstd) of its own, which all readers of these formats put together.
"""

import hashlib
import io
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.errors import RequestError
from ledger.export_jobs import JobTitle
from ledger.publications import Publication
from ledger.settings import Settings
from serving.datasets import Column, find_dataset
from serving.reader import Reader, open_published
from serving.sources import Source, open_source

FORMATS = ("csv", "jsonl", "parquet")
COMPRESSIONS = {"gzip": "gz", "zstd": "zst"}
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
# More than this costs time and saves little; any change of it changes bytes, and so LAYOUT.
GZIP_LEVEL = 4
LAYOUT = 2
CHUNK = 1 << 20
MEMORY_LIMIT = "64MB"


@dataclass(frozen=True)
class ExportRequest:
    """What to export; without an account, the rows of all."""

    dataset: str
    account_id: str | None = None
    format: str = "csv"
    compression: str | None = None
    guard_formulas: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise RequestError(f"no format {self.format!r}; there are {', '.join(FORMATS)}")
        if self.compression is not None and self.compression not in COMPRESSIONS:
            known = ", ".join(COMPRESSIONS)
            raise RequestError(f"no compression {self.compression!r}; there are {known}")
        if self.guard_formulas and self.format != "csv":
            raise RequestError(f"formulas are guarded in csv, not in {self.format}")

    @property
    def suffix(self) -> str:
        """`csv.gz`; Parquet compresses inside."""
        if self.compression is None or self.format == "parquet":
            return self.format
        return f"{self.format}.{COMPRESSIONS[self.compression]}"

    @property
    def media_type(self) -> str:
        """Content type of the file."""
        if self.compression is None or self.format == "parquet":
            return MEDIA_TYPES[self.format]
        return f"application/{self.compression}"

    @property
    def is_resumable(self) -> bool:
        """Whether a part can be written without those before; Parquet has one index of all."""
        return self.format != "parquet"

    def key(self, publication: Publication) -> str:
        """What the bytes depend on, as a name."""
        parts = [LAYOUT, publication.version, _utc(publication.created_at), asdict(self)]
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
        return f"{publication.version}-{digest}"


@dataclass(frozen=True)
class Part:
    """Some bytes of the export; the parts one after another are the file."""

    number: int
    path: Path
    rows: int


@dataclass(frozen=True)
class Export:
    """An export of an open version."""

    request: ExportRequest
    publication: Publication
    columns: tuple[Column, ...]
    source: Source
    rows_total: int

    @property
    def key(self) -> str:
        """Name of its bytes."""
        return self.request.key(self.publication)

    def title(self, destination: str) -> JobTitle:
        """What the ledger says of it."""
        wanted = self.request
        return JobTitle(
            wanted.dataset,
            wanted.account_id,
            wanted.format,
            wanted.compression,
            self.publication.version,
            destination,
        )

    def parts(self, folder: Path, first: int = 0) -> Iterator[Part]:
        """Write the parts from the first one wanted, the next ones while one is taken."""
        make, finish = _writers(self, folder)
        numbers = iter(range(first, self.source.part_count))
        with ThreadPoolExecutor(self.source.hands, "export") as ahead:
            made = deque((n, ahead.submit(make, n)) for n in islice(numbers, self.source.hands))
            while made:
                number, part = made.popleft()
                done = part.result()
                made.extend((n, ahead.submit(make, n)) for n in islice(numbers, 1))
                yield finish(number, done)

    def manifest(self, rows: int, size: int, sha256: str) -> dict[str, Any]:
        """What a reader checks the file by."""
        return {
            **asdict(self.request),
            "rows": rows,
            "bytes": size,
            "sha256": sha256,
            "version": self.publication.version,
            "as_of": _utc(self.publication.as_of),
            "published_at": _utc(self.publication.created_at),
            "columns": [{"name": one.name, "type": one.type.lower()} for one in self.columns],
        }


@contextmanager
def open_export(
    settings: Settings, request: ExportRequest, *, alone: bool = False
) -> Iterator[Export]:
    """The export of the current version.

    DuckDB keeps the blocks it has read, up to most of the machine. A process that only exports
    (`alone`) needs few of them; in one that answers other questions too, they have their use.

    Raises:
        NotPublishedError: there is no version yet.
        NotFoundError: no such dataset or account.
        RequestError: the dataset cannot be exported for an account.
    """
    with open_published(settings) as reader:
        if alone and reader.engine == "duckdb":
            # With one thread a part is written as it is read; with more they wait for memory.
            reader.connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'; set threads = 1")
        yield export_of(reader, request)


def export_of(reader: Reader, request: ExportRequest) -> Export:
    """The export of a version that is open."""
    dataset = find_dataset(reader, request.dataset, request.account_id)
    source = open_source(reader, dataset, request.account_id, guard=request.guard_formulas)
    return Export(request, reader.publication, dataset.columns, source, source.count())


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


Made = Any
Writers = tuple[Callable[[int], Made], Callable[[int, Made], Part]]


def _writers(export: Export, folder: Path) -> Writers:
    """What makes a part with the engine, and what makes its file of that."""
    if export.request.format == "parquet":
        return _parquet_writers(export, folder)
    compression = export.request.compression
    header = ",".join(one.name for one in export.columns) + "\n"

    def make(number: int) -> Callable[[], int]:
        text = folder / f"{number}.text"
        if export.request.format == "jsonl":
            return export.source.jsonl(number, text)
        written = export.source.csv(number, text)
        return lambda: written

    def finish(number: int, rest: Callable[[], int]) -> Part:
        rows = rest()
        text, path = folder / f"{number}.text", folder / f"{number:06}.part"
        has_header = number == 0 and export.request.format == "csv"
        if compression is None and not has_header:
            text.rename(path)
            return Part(number, path, rows)
        with text.open("rb") as raw, path.open("wb") as file:
            sink = _compressed(file, compression)
            if has_header:
                sink.write(header.encode())
            while chunk := raw.read(CHUNK):
                sink.write(chunk)
            sink.close()
        text.unlink()
        return Part(number, path, rows)

    return make, finish


def _compressed(file: Any, compression: str | None) -> Any:
    if compression == "zstd":
        return pa.CompressedOutputStream(file, "zstd")
    return _Gzip(file) if compression == "gzip" else file


class _Gzip:
    """One member without name and time, so that its bytes say nothing of when it was written."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)

    def write(self, data: bytes) -> None:
        self._file.write(self._deflate.compress(data))

    def close(self) -> None:
        self._file.write(self._deflate.flush())


def _parquet_writers(export: Export, folder: Path) -> Writers:
    """One row group a part; what the writer has written since is the part's file."""
    sink = _Sink()
    writers: list[pq.ParquetWriter] = []
    last = export.source.part_count - 1
    codec = export.request.compression or "zstd"

    def finish(number: int, rest: Callable[[], pa.Table]) -> Part:
        table = rest()
        path = folder / f"{number:06}.part"
        with path.open("wb") as file:
            sink.target = file
            if not writers:
                writers.append(pq.ParquetWriter(sink, table.schema, compression=codec))
            writers[0].write_table(table)
            if number == last:
                writers[0].close()
        return Part(number, path, table.num_rows)

    return lambda number: export.source.arrow(number, folder), finish


class _Sink(io.RawIOBase):
    """Counts what is written into the file of the part that is being written."""

    def __init__(self) -> None:
        self.target: Any = None
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        written = self.target.write(data)
        self._position += written
        return int(written)

    def tell(self) -> int:
        return self._position
