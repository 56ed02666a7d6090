"""PostgreSQL knows how large a table of raw is as soon as much has landed: builds plan by it."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import URL
from support.warehouse import Warehouse

from demo import DemoServer, Store
from ledger.settings import Settings
from loaders.postgres import ROWS_TO_ANALYZE

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
    assert warehouse.value(KNOWN) == -1, "never looked at"
    upsert(store, range(ROWS_TO_ANALYZE + 5))
    warehouse.sync("crm", entities=["accounts"])
    assert warehouse.value(KNOWN) == ROWS_TO_ANALYZE + 5
    upsert(store, range(ROWS_TO_ANALYZE + 10))
    warehouse.sync("crm", entities=["accounts"])
    assert warehouse.value(KNOWN) == ROWS_TO_ANALYZE + 5
    warehouse.ledger.dispose()
