"""dlt's PostgreSQL destination, but empty text stays empty text, and text is `text`.

Arrow ─▶ csv (null: nothing, empty text: `""`) ─▶ COPY. dlt's own COPY says `FORCE_NULL` for every
column that may be null, which turns empty text into null. Its `varchar` columns would differ in
type from those that dbt makes on an empty warehouse.
"""

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.storages import FileStorage
from dlt.destinations import postgres
from dlt.destinations.impl.postgres.factory import PostgresTypeMapper
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresCsvCopyJob

ROWS_TO_ANALYZE, SHARE_TO_ANALYZE = 1000, 0.1
"""A copy of so many rows, and of such a share of the table, makes its statistics stale."""


class _CopyJob(PostgresCsvCopyJob):
    """Copies a csv file whose first line names the columns."""

    def run(self) -> None:
        """Copy in one transaction.

        Statistics follow at once where the table grew much. Autovacuum would come within minutes;
        the build that follows would join millions of rows in nested loops until then.
        """
        client = self._job_client.sql_client
        table = client.make_qualified_table_name(self.load_table_name)
        with FileStorage.open_zipsafe_ro(self._file_path, "rb") as file:
            columns = file.readline().decode().strip()
            copy = f"copy {table} ({columns}) from stdin with (format csv, encoding 'utf-8')"
            with client.begin_transaction(), client.native_connection.cursor() as cursor:
                cursor.copy_expert(copy, file)
                rows = cursor.rowcount
                cursor.execute("select reltuples from pg_class where oid = %s::regclass", [table])
                (known,) = cursor.fetchone()
                if rows >= ROWS_TO_ANALYZE and rows > SHARE_TO_ANALYZE * known:
                    cursor.execute(f"analyze {table}")


class _Client(PostgresClient):
    """Makes the jobs above."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """The job for a file of a load package."""
        job = super().create_load_job(table, file_path, load_id, restore)
        return _CopyJob(file_path) if isinstance(job, PostgresCsvCopyJob) else job


class _TypeMapper(PostgresTypeMapper):
    """Text is `text`, as in the tables that dbt makes."""

    sct_to_unbound_dbt = PostgresTypeMapper.sct_to_unbound_dbt | {"text": "text"}
    dbt_to_sct = PostgresTypeMapper.dbt_to_sct | {"text": "text"}


class Postgres(postgres):
    """The destination."""

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.type_mapper = _TypeMapper
        return capabilities

    @property
    def client_class(self) -> type[PostgresClient]:
        """The client above."""
        return _Client
