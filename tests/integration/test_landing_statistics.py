"""What PostgreSQL needs for its plans: the size of a table of raw, and indexes of each."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import URL
from support.warehouse import Warehouse

from demo import DemoServer, Store
from ledger.settings import Settings
from loaders.postgres import ROWS_TO_ANALYZE
from operations.dbt_runner import build

INDEXES = (
    "select indexname from pg_indexes where schemaname = 'raw' and tablename = 'crm__accounts'"
)
KNOWN = "select reltuples from pg_class where oid = cast('raw.crm__accounts' as regclass)"


def upsert(store: Store, numbers: range) -> None:
    at = "2026-03-01T00:00:00Z"
    for number in numbers:
        record = {"id": f"a{number}", "name": "A", "plan": "pro", "created_at": at}
        store.upsert("crm", "accounts", record | {"updated_at": at})


def test_statistics_follow_a_large_landing_at_once_and_a_small_one_later(
    tmp_path: Path, postgres_database: URL, serve: Callable[..., DemoServer]
) -> None:
    store = Store()
    serve(store)
    warehouse = Warehouse(Settings(tmp_path, "prod", postgres_database))
    upsert(store, range(5))
    warehouse.sync("crm", entities=["accounts"])
    # It comes by once a minute, and would count as well.
    warehouse.execute("alter table raw.crm__accounts set (autovacuum_enabled = false)")
    assert warehouse.value(KNOWN) == -1, "never looked at"
    upsert(store, range(ROWS_TO_ANALYZE + 5))
    warehouse.sync("crm", entities=["accounts"])
    assert warehouse.value(KNOWN) == ROWS_TO_ANALYZE + 5
    upsert(store, range(ROWS_TO_ANALYZE + 10))
    warehouse.sync("crm", entities=["accounts"])
    assert warehouse.value(KNOWN) == ROWS_TO_ANALYZE + 5
    warehouse.ledger.dispose()


def test_a_table_that_a_sync_created_is_indexed_by_the_next_build(
    tmp_path: Path, postgres_database: URL, serve: Callable[..., DemoServer]
) -> None:
    store = Store()
    serve(store)
    settings = Settings(tmp_path, "prod", postgres_database)
    warehouse = Warehouse(settings)
    upsert(store, range(5))
    warehouse.sync("crm", entities=["accounts"])
    assert warehouse.rows(INDEXES) == []
    for _ in range(2):
        assert build(settings, ["stg_raw__loads"], command="run").succeeded
        names = {name for (name,) in warehouse.rows(INDEXES)}
        assert names == {"crm__accounts_dlt_load_id", "crm__accounts_id"}
    warehouse.ledger.dispose()
