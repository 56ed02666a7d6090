"""Landing: Arrow tables ─▶ dlt package ─▶ raw.<tables>, then one row in raw._dlt_loads.

Append only. A load counts when, and only when, its row in `_dlt_loads` is there, so half a load is
invisible. dlt's local state is a cache: the cursor lives in the target (`raw.sync_cursors`), and a
package left by a killed process is dropped, since the source is asked for its records again.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping

import dlt
import pyarrow as pa
from dlt.common.pipeline import LoadInfo
from dlt.pipeline.exceptions import PipelineStepFailed

from ledger.errors import BalanceError, TargetError, WarehouseError
from ledger.settings import Settings
from loaders.target import RAW, Target

# Two of DuckDB's row groups: an end that fills none is written again with the next file.
ROWS_A_FILE = 2 * 122_880
DLT_DEFAULTS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "RESTORE_FROM_DESTINATION": "false",
    "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "true",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "DATA_WRITER__FILE_MAX_ITEMS": str(ROWS_A_FILE),
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}

# DuckDB keeps what it writes in memory while anyone holds the file open: a load of more rows than
# this is landed with the file closed between its parts.
ROWS_HELD_OPEN = 100_000


class Landing:
    """Appends to the raw log through one dlt pipeline, named by source and destination."""

    def __init__(self, settings: Settings, target: Target, source: str) -> None:
        for name, value in DLT_DEFAULTS.items():
            os.environ.setdefault(name, value)
        self._settings = settings
        self._target = target
        self._source = source
        self._pipeline = self._open()

    def _open(self) -> dlt.Pipeline:
        return dlt.pipeline(
            pipeline_name=f"{self._source}_{self._target.name}",
            pipelines_dir=str(self._settings.pipelines_dir),
            destination=self._target.destination(),
            dataset_name=RAW,
        )

    def _discard_pending(self) -> None:
        """Forget what a killed process left behind: its records are asked for again.

        Finishing such a package would be wrong where the warehouse was restored from a backup
        meanwhile: its cursor would hide what the backup lacks.
        """
        try:
            pending = self._pipeline.has_pending_data
        except Exception:  # A torn working directory can fail in any way; it is only a cache.
            pending = True
        if pending:
            shutil.rmtree(self._pipeline.working_dir, ignore_errors=True)
            self._pipeline = self._open()

    def land(self, tables: Iterable[tuple[str, pa.Table]]) -> str | None:
        """Append `tables` (name and rows) as one load; returns its id, None if there was no row.

        Raises:
            TargetError: the database cannot be written; nothing of the load will be visible.
        """
        self._discard_pending()
        resource = dlt.resource(self._marked(tables), name="records", write_disposition="append")
        try:
            info: LoadInfo = self._pipeline.run(
                dlt.source(lambda: resource, name=self._source)(),
                loader_file_format=self._target.file_format,
            )
        except PipelineStepFailed as error:
            cause: BaseException = error
            while cause.__cause__ is not None and not isinstance(cause, WarehouseError):
                cause = cause.__cause__
            if isinstance(cause, (WarehouseError, KeyboardInterrupt)):
                raise cause from error
            reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            raise TargetError(
                f"source {self._source}: landing failed in step {error.step}: {reason}"
            ) from error
        return info.loads_ids[-1] if info.loads_ids else None

    def _marked(self, tables: Iterable[tuple[str, pa.Table]]) -> Iterator[object]:
        rows = 0
        for name, table in tables:
            rows += table.num_rows
            if rows > ROWS_HELD_OPEN:
                self._target.release()
            yield dlt.mark.with_table_name(table, name)

    def check(self, load_id: str | None, sent: Mapping[str, int]) -> None:
        """Count the rows in the target: the law holds for what is there, not for what was sent.

        Raises:
            BalanceError: a table has not the rows that were sent to it.
        """
        for name, rows in sent.items():
            found = self.rows_of(name, load_id) if load_id else 0
            if found != rows:
                raise BalanceError(
                    f"source {self._source}: load {load_id} sent {rows} rows to raw.{name}, "
                    f"but {found} are there; run it again, and report this if it comes back"
                )

    def rows_of(self, table: str, load_id: str) -> int:
        """Rows of a load that are really in the target."""
        query = f"select count(*) from {RAW}.{table} where _dlt_load_id = ?"
        rows = self._target.fetch(query, (load_id,))
        return int(rows[0][0]) if rows else 0
