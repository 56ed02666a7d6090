"""Syncs on both engines: first, repeated, incremental, after faults and after losses."""

import base64
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import URL, select
from support import Warehouse, assert_complete, landed_ids, served_rows

from demo import SOURCE_OF, SOURCES, DemoServer, Store, advance, generate
from ledger.errors import TargetError
from ledger.runs import now
from ledger.settings import Settings
from ledger.tables import pipeline_runs
from loaders.columns import Column, tables_of
from loaders.contracts import ENTITIES
from loaders.decoding import row_hash
from loaders.landing import Landing

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
COMMERCE = SOURCES["commerce"]
Serve = Callable[..., DemoServer]


@pytest.fixture
def store() -> Store:
    return generate(11, 0.05, AS_OF)


def order(number: int, at: datetime = AS_OF, **values: Any) -> dict[str, Any]:
    return {
        "id": f"o{number}",
        "status": "pending",
        "currency": "EUR",
        "created_at": AS_OF.isoformat(),
        "updated_at": at.isoformat(),
        "items": [{"id": "1", "product_id": "p", "quantity": 2, "unit_price": "1.50"}],
    } | values


def orders(count: int) -> Store:
    filled = Store()
    for number in range(count):
        filled.upsert("commerce", "orders", order(number, AS_OF + timedelta(minutes=number)))
    return filled


def test_first_sync_lands_what_is_served_and_a_second_lands_nothing(
    warehouse: Warehouse, serve: Serve, store: Store
) -> None:
    serve(store)
    first = warehouse.sync()
    assert not first.errors
    assert first.landed == sum(len(served_rows(store, entity.name)) for entity in ENTITIES)
    assert sum(sync.counts.dead for sync in first.by_entity.values()) == sum(
        store.malformed(SOURCE_OF[entity.name], entity.name) for entity in ENTITIES
    )
    assert_complete(warehouse, store)
    rows = warehouse.count("commerce__orders")

    second = warehouse.sync()
    assert not second.errors
    assert second.landed == 0
    assert sum(sync.counts.dead for sync in second.by_entity.values()) == 0
    assert warehouse.count("commerce__orders") == rows
    assert all(s.cursor_after == first[n].cursor_after for n, s in second.by_entity.items())


def test_later_syncs_take_the_changes_only(
    warehouse: Warehouse, serve: Serve, store: Store
) -> None:
    server = serve(store)
    warehouse.sync("commerce")
    for day in (1, 2):
        counts = advance(store, 11, 0.05, AS_OF + timedelta(days=day))
        server.clear_requests()
        result = warehouse.sync("commerce")
        assert not result.errors
        changed = sum(
            number
            for of_entity in (counts[e] for e in COMMERCE)
            for what, number in of_entity.items()
            if what in ("created", "updated", "late")
        )
        assert result.landed == changed
        assert server.served["commerce", "orders"] < store.count("commerce", "orders") / 2
        assert_complete(warehouse, store, *COMMERCE, deleted=False)


def test_every_column_holds_what_was_served(
    warehouse: Warehouse, serve: Serve, store: Store
) -> None:
    serve(store)
    warehouse.sync()
    for entity in ENTITIES:
        own, *children = tables_of(entity)
        served = {i: msgspec.json.decode(r) for i, r in served_rows(store, entity.name).items()}
        names = [column for column in own.columns if column.path]
        rows = warehouse.rows(f"select {_names(names)}, _row_hash from raw.{own.name}")
        assert {row[0]: tuple(row[:-1]) for row in rows} == {
            id: tuple(_expected(column, record) for column in names)
            for id, record in served.items()
        }
        for child in children:
            names = [column for column in child.columns if column.path]
            rows = warehouse.rows(f"select {_names(names)} from raw.{child.name}")
            assert sorted(rows, key=str) == sorted(_expected_items(names, served), key=str)


def _names(columns: list[Column]) -> str:
    return ", ".join(column.name for column in columns)


def _expected(column: Column, record: Any) -> Any:
    """The value of a column as the record says it, found without the loaders' code."""
    value = record
    for name in column.path:
        value = None if value is None else value.get(name)
    if value is None:
        return None
    if column.data_type == "timestamptz":
        return datetime.fromisoformat(value).astimezone(UTC)
    return Decimal(value) if column.data_type.startswith("numeric") else value


def _expected_items(names: list[Column], orders: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for record in orders.values():
        for item in record["items"]:
            yield tuple(_expected(c, record if c.of_parent else item) for c in names)


def test_unknown_fields_can_be_read_by_sql(warehouse: Warehouse, serve: Serve) -> None:
    store = Store()
    item = {"id": "1", "product_id": "p", "quantity": 1, "unit_price": "1", "gift": {"to": "Zoë"}}
    address = {"city": "Oslo", "floor": 3}
    store.upsert(
        "commerce", "orders", order(1, items=[item], shipping_address=address, tags=["a", None])
    )
    store.upsert("commerce", "orders", order(2))
    serve(store)
    warehouse.sync("commerce")
    in_json = {
        "duckdb": "json_extract_string(_extra, '{0}')",
        "postgres": "jsonb_path_query_first(_extra::jsonb, '{0}') #>> '{{}}'",
    }[warehouse.settings.engine_name]

    def extra(path: str, table: str, id: str) -> Any:
        column = in_json.format(path)
        return warehouse.value(f"select {column} from raw.commerce__{table} where {id}")

    assert extra("$.tags[0]", "orders", "id = 'o1'") == "a"
    assert extra("$.shipping_address.floor", "orders", "id = 'o1'") == "3"
    assert extra("$.gift.to", "order_items", "order_id = 'o1'") == "Zoë"
    assert warehouse.value("select _extra from raw.commerce__orders where id = 'o2'") is None
    assert (
        warehouse.value("select _extra from raw.commerce__order_items where order_id = 'o2'")
        is None
    )


def test_empty_text_is_not_null(warehouse: Warehouse, serve: Serve) -> None:
    store = Store()
    odd = 'quote " comma , back\\slash\nline \\N NULL'
    for id, role in (("empty", ""), ("null", None), ("blank", " "), ("odd", odd), ("N", "\\N")):
        record = {"id": id, "company_id": "c", "role": role, "email": odd}
        times = {"created_at": AS_OF.isoformat(), "updated_at": AS_OF.isoformat()}
        store.upsert("crm", "users", record | times)
    serve(store)
    warehouse.sync("crm")
    rows = dict(warehouse.rows("select id, role from raw.crm__users"))
    assert rows == {"empty": "", "null": None, "blank": " ", "odd": odd, "N": "\\N"}
    assert warehouse.value("select count(*) from raw.crm__users where email = ?", odd) == 5


def test_dead_letters_keep_their_bytes_and_block_nobody(warehouse: Warehouse, serve: Serve) -> None:
    store = orders(3)
    bad = [
        b'{"id": "b1", "status": 5}',
        b'{"id": "b2", "note": "caf\xe9"}',
        b'{"id": "b3", "note": "a\\u0000b"}',
        b'{"id": "b4", "note": "\\ud800"}',
        b'"only text"',
        b'{"deep": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    ]
    for raw in bad:
        store.add_raw("commerce", "orders", raw, AS_OF)
    price = msgspec.json.encode(
        order(9, items=[{"id": "1", "product_id": "p", "quantity": 1, "unit_price": "\u0661"}])
    )
    store.add_raw("commerce", "orders", price, AS_OF)
    serve(store)
    result = warehouse.sync("commerce")
    assert not result.errors
    assert result["orders"].counts.dead == len(bad) + 1
    assert_complete(warehouse, store, "orders")
    letters = warehouse.rows("select payload, payload_encoding, error from raw.dead_letters")
    kept = {
        base64.b64decode(payload) if encoding == "base64" else payload.encode()
        for payload, encoding, _ in letters
    }
    assert kept == {*bad, price}
    assert all(error.startswith("orders ") for _, _, error in letters)

    again = warehouse.sync("commerce")
    assert again["orders"].counts.dead == 0
    assert warehouse.count("dead_letters") == len(bad) + 1


def test_a_date_in_the_future_does_not_hide_what_comes_before_it(
    warehouse: Warehouse, serve: Serve
) -> None:
    store = orders(1)
    store.upsert("commerce", "orders", order(100, datetime(2999, 1, 1, tzinfo=UTC)))
    serve(store)
    first = warehouse.sync("commerce")
    cursor = first["orders"].cursor_after
    assert cursor is not None
    assert cursor <= now()
    store.upsert("commerce", "orders", order(2, now()))
    assert warehouse.sync("commerce")["orders"].counts.landed == 1
    assert_complete(warehouse, store, "orders")


@pytest.mark.parametrize("page_size", [10, 1000])
def test_an_entity_that_fails_harms_neither_the_others_nor_its_cursor(
    warehouse: Warehouse, serve: Serve, page_size: int
) -> None:
    store = generate(3, 0.02, AS_OF)
    server = serve(store)
    warehouse.sync("commerce", page_size=page_size)
    advance(store, 3, 0.02, AS_OF + timedelta(days=1))
    server.faults = "server_error:entity=orders"
    before = landed_ids(warehouse, "orders")
    failed = warehouse.sync("commerce", page_size=page_size)
    assert failed.errors.keys() == {"orders"}
    assert "status 500" in failed.errors["orders"]
    assert landed_ids(warehouse, "orders") == before
    assert_complete(warehouse, store, "customers", "products", deleted=False)
    server.faults = None
    assert not warehouse.sync("commerce", page_size=page_size).errors
    assert_complete(warehouse, store, "customers", "products", "orders", deleted=False)


def test_pages_before_a_failure_are_kept_and_the_rest_follows(
    warehouse: Warehouse, serve: Serve
) -> None:
    store = orders(50)
    server = serve(store)
    server.faults = ["server_error:entity=orders,every=4"]
    failed = warehouse.sync("commerce", page_size=10, max_attempts=1)
    assert failed["orders"].error
    assert failed["orders"].cursor_after is None
    assert failed["orders"].counts.landed == 30
    server.faults = None
    mended = warehouse.sync("commerce", page_size=10)
    assert mended["orders"].counts.landed == 20
    assert_complete(warehouse, store, "orders")


def test_the_cursor_moves_although_everything_came_before(
    warehouse: Warehouse, serve: Serve
) -> None:
    """All records landed in a sync that failed at its end: the next one has nothing new."""
    store = orders(20)
    server = serve(store)
    store.add_raw("commerce", "orders", b'{"id": "bad"}', AS_OF + timedelta(days=1))
    server.faults = "loop:entity=orders"
    failed = warehouse.sync("commerce", entities=["orders"])
    assert failed["orders"].error
    server.faults = None
    mended = warehouse.sync("commerce", entities=["orders"])
    assert mended["orders"].counts.landed == 0
    assert mended["orders"].cursor_after == AS_OF + timedelta(minutes=19)


def test_a_pass_that_repeats_an_earlier_one_still_gives_a_cursor(
    warehouse: Warehouse, serve: Serve
) -> None:
    store = orders(40)
    server = serve(store)
    server.faults = "moving_rows:moves=2,step=1"
    result = warehouse.sync("commerce", page_size=10, entities=["orders"])
    assert not result.errors
    assert result["orders"].cursor_after is not None
    assert_complete(warehouse, store, "orders")


def test_late_versions_within_the_lag_are_seen_and_older_ones_lose(
    warehouse: Warehouse, serve: Serve
) -> None:
    store = orders(5)
    serve(store)
    warehouse.sync("commerce")
    late = AS_OF + timedelta(minutes=4) - timedelta(seconds=599)
    store.upsert("commerce", "orders", order(77, late))
    assert warehouse.sync("commerce")["orders"].counts.landed == 1
    assert_complete(warehouse, store, "orders")
    newest = row_hash(served_rows(store, "orders")["o4"])
    store.upsert("commerce", "orders", order(4, AS_OF + timedelta(minutes=2), status="stale"))
    warehouse.sync("commerce")
    assert landed_ids(warehouse, "orders")["o4"] == newest


def test_a_lost_warehouse_is_filled_again(
    settings: Settings, warehouse: Warehouse, serve: Serve, store: Store
) -> None:
    serve(store)
    warehouse.sync("commerce")
    warehouse.lose_data()
    result = warehouse.sync("commerce")
    assert result.landed
    assert_complete(warehouse, store, *COMMERCE)


def test_a_lost_working_directory_costs_no_record(
    warehouse: Warehouse, serve: Serve, store: Store
) -> None:
    serve(store)
    warehouse.sync("commerce")
    shutil.rmtree(warehouse.settings.pipelines_dir)
    assert warehouse.sync("commerce").landed == 0
    shutil.rmtree(warehouse.settings.pipelines_dir)
    advance(store, 11, 0.05, AS_OF + timedelta(days=1))
    assert warehouse.sync("commerce").landed
    assert_complete(warehouse, store, *COMMERCE, deleted=False)


def test_targets_of_one_home_keep_their_cursors_apart(
    tmp_path: Path, postgres_database: URL, serve: Serve, store: Store
) -> None:
    serve(store)
    local = Warehouse(Settings(tmp_path))
    local.sync("commerce")
    prod = Warehouse(Settings(tmp_path, "prod", postgres_database))
    assert prod.sync("commerce").landed
    assert_complete(prod, store, *COMMERCE)
    advance(store, 11, 0.05, AS_OF + timedelta(days=1))
    prod.sync("commerce")
    local.sync("commerce")
    assert_complete(local, store, *COMMERCE, deleted=False)
    assert_complete(prod, store, *COMMERCE, deleted=False)


def test_a_load_that_fails_is_told_and_leaves_no_figure_behind(
    warehouse: Warehouse, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = orders(5)
    serve(store)

    def fail(self: Landing, tables: Any) -> None:
        list(tables)
        raise TargetError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(Landing, "land", fail)
        with pytest.raises(TargetError, match="disk full"):
            warehouse.sync("commerce")
    for row in warehouse.sync_log():
        assert (row["status"], row["error"]) == ("failed", "disk full")
        assert (row["landed"], row["cursor_after"]) == (0, None)
    assert not warehouse.sync("commerce").errors
    assert_complete(warehouse, store, "orders")


def test_an_interrupted_sync_is_not_called_succeeded(warehouse: Warehouse, serve: Serve) -> None:
    store = orders(5)
    serve(store)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        warehouse.sync("commerce", progress=interrupt)
    assert {row["status"] for row in warehouse.sync_log()} == {"interrupted"}
    with warehouse.ledger.connect() as connection:
        assert connection.scalar(select(pipeline_runs.c.status)) == "interrupted"
    assert not warehouse.sync("commerce").errors
    assert_complete(warehouse, store, "orders")


def test_a_file_that_is_no_database_is_named(tmp_path: Path, serve: Serve) -> None:
    serve(orders(1))
    warehouse = Warehouse(Settings(tmp_path))
    warehouse.settings.warehouse_path.write_bytes(b"no database")
    message = r"cannot read the warehouse .*warehouse\.duckdb.*; put a backup in its place"
    with pytest.raises(TargetError, match=message):
        warehouse.sync("commerce")


def test_bytes_that_come_back_after_others_of_the_same_version_are_news(
    warehouse: Warehouse, serve: Serve
) -> None:
    store = orders(2)
    serve(store)
    first, second = order(1, status="shipped"), order(1, status="completed")
    for record in (first, second, first):
        store.upsert("commerce", "orders", record)
        assert warehouse.sync("commerce")["orders"].counts.landed >= 1
        assert_complete(warehouse, store, "orders")
    assert warehouse.sync("commerce").landed == 0


def test_an_id_that_is_served_several_times_is_news_once(
    warehouse: Warehouse, serve: Serve
) -> None:
    """Also a content that joins the others later."""
    store, at = orders(30), AS_OF + timedelta(minutes=29)
    serve(store)

    def also(currency: str) -> None:
        raw = msgspec.json.encode(order(29, at, currency=currency))
        store.add_raw("commerce", "orders", raw, at, key=f"o29 in {currency}")

    def landed(page_size: int) -> int:
        result = warehouse.sync("commerce", entities=["orders"], full=True, page_size=page_size)
        assert not result.errors
        return result.landed

    for currency in ("USD", "GBP", "CHF"):
        also(currency)
    assert [landed(page_size) for page_size in (10, 10, 50)] == [33, 0, 0]
    also("CAD")
    assert [landed(page_size) for page_size in (10, 10, 50)] == [1, 0, 0]
