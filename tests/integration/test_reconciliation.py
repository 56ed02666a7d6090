"""`--full` on both engines: records no longer served are marked as deleted, once and for sure."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support import Warehouse, assert_complete, landed_ids, served_rows

from demo import DemoServer, Store

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
Serve = Callable[..., DemoServer]


def order(number: int, minutes: int = 0, **values: Any) -> dict[str, Any]:
    return {
        "id": f"o{number:03}",
        "status": "pending",
        "currency": "EUR",
        "created_at": AS_OF.isoformat(),
        "updated_at": (AS_OF + timedelta(minutes=minutes)).isoformat(),
        "items": [
            {"id": str(item), "product_id": "p", "quantity": item, "unit_price": "1.50"}
            for item in (1, 2)
        ],
    } | values


@pytest.fixture
def store() -> Store:
    filled = Store()
    for number in range(60):
        filled.upsert("commerce", "orders", order(number, number))
    return filled


def reconcile(warehouse: Warehouse, **options: Any) -> Any:
    options = {"page_size": 1000} | options
    return warehouse.sync("commerce", full=True, entities=["orders"], **options)["orders"]


def test_deletes_are_marked_once_and_undone_once(
    warehouse: Warehouse, serve: Serve, store: Store
) -> None:
    serve(store)
    reconcile(warehouse)
    gone = {id: store.get("commerce", "orders", id) for id in ("o000", "o007")}
    for id in gone:
        store.delete("commerce", "orders", id)
    assert warehouse.sync("commerce", entities=["orders"])["orders"].counts.deleted == 0

    marked = reconcile(warehouse)
    assert not marked.error
    assert marked.counts.deleted == 2
    assert marked.counts.landed == 0
    assert_complete(warehouse, store, "orders")
    copies = warehouse.rows(
        "select items.order_id, items.id from raw.commerce__order_items as items"
        " join raw.commerce__orders as orders on orders.id = items.order_id"
        " and orders._row_hash = items._row_hash and orders._received_at = items._received_at"
        " where items._is_deleted and orders._is_deleted"
    )
    assert sorted(copies) == [(id, item) for id in sorted(gone) for item in ("1", "2")]
    again = reconcile(warehouse)
    assert (again.counts.deleted, again.counts.landed) == (0, 0)

    for raw in gone.values():
        assert raw is not None
        store.upsert("commerce", "orders", raw)
    back = reconcile(warehouse)
    assert (back.counts.deleted, back.counts.landed) == (0, 2)
    assert_complete(warehouse, store, "orders")
    again = reconcile(warehouse)
    assert (again.counts.deleted, again.counts.landed) == (0, 0)

    store.delete("commerce", "orders", "o007")
    assert reconcile(warehouse).counts.deleted == 1
    assert_complete(warehouse, store, "orders")


def test_a_mass_deletion_is_refused(warehouse: Warehouse, serve: Serve, store: Store) -> None:
    serve(store)
    first = reconcile(warehouse)
    for number in range(13):
        store.delete("commerce", "orders", f"o{number:03}")
    refused = reconcile(warehouse)
    assert "13 of 60 records are no longer served, more than 12" in refused.error
    assert "max_deleted_ratio" in refused.error
    assert len(landed_ids(warehouse, "orders")) == 60
    assert refused.cursor_after == first.cursor_after
    allowed = reconcile(warehouse, max_deleted_ratio=0.25)
    assert allowed.counts.deleted == 13
    assert_complete(warehouse, store, "orders")


def test_nothing_is_deleted_because_rows_move(
    warehouse: Warehouse, serve: Serve, store: Store
) -> None:
    server = serve(store)
    reconcile(warehouse)
    for faults in ("moving_rows:moves=6,step=1", "unstable_order:requests=6", "same_page_twice"):
        server.faults = faults
        moved = reconcile(warehouse, page_size=10)
        assert not moved.error
        assert moved.counts.deleted == 0
        assert_complete(warehouse, store, "orders")


@pytest.mark.parametrize("fault", ["server_error:every=3", "truncated:every=3", "outage"])
def test_nothing_is_deleted_when_a_page_is_missing(
    warehouse: Warehouse, serve: Serve, store: Store, fault: str
) -> None:
    server = serve(store)
    reconcile(warehouse)
    server.faults = fault
    failed = reconcile(warehouse, page_size=10, max_attempts=1)
    assert failed.error
    assert failed.counts.deleted == 0
    assert len(landed_ids(warehouse, "orders")) == 60


def test_a_record_that_breaks_its_contract_now_is_not_deleted(
    warehouse: Warehouse, serve: Serve, store: Store
) -> None:
    serve(store)
    reconcile(warehouse)
    before = landed_ids(warehouse, "orders")
    bad = served_rows(store, "orders")["o005"].replace(b'"pending"', b"5")
    store.add_raw("commerce", "orders", bad, AS_OF, key="o005")
    broken = reconcile(warehouse)
    assert (broken.counts.dead, broken.counts.deleted) == (1, 0)
    assert landed_ids(warehouse, "orders") == before
    again = reconcile(warehouse)
    assert (again.counts.dead, again.counts.deleted) == (0, 0)
