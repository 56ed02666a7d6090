"""Arrow tables: exact money, empty text apart from null, microseconds, nested lists apart."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from loaders.arrow import TableBuilder, arrow_schema, dead_letter_table
from loaders.columns import DEAD_LETTERS, tables_of
from loaders.contracts import ENTITIES
from loaders.decoding import DeadLetter, RecordDecoder, row_hash

BY_NAME = {entity.name: entity for entity in ENTITIES}
AT = datetime(2026, 1, 1, tzinfo=UTC)


def build(entity: str, *records: dict[str, Any]) -> dict[str, pa.Table]:
    raws = [msgspec.json.encode(record) for record in records]
    page = RecordDecoder(BY_NAME[entity]).decode(raws, list(map(row_hash, raws)))
    assert not page.dead
    return TableBuilder(BY_NAME[entity]).build(page, AT)


def product(**values: Any) -> dict[str, Any]:
    return {"id": "p", "sku": "s", "updated_at": "2026-01-01T02:00:00.123456+02:00"} | values


@pytest.mark.parametrize(
    "price", ["0.1", "-0.000001", "999999999999.999999", "-999999999999.999999", "007", "-0", None]
)
def test_money_is_exact(price: str | None) -> None:
    (value,) = build("products", product(unit_price=price))["commerce__products"]["unit_price"]
    assert value.as_py() == (None if price is None else Decimal(price))


def test_empty_text_and_null() -> None:
    table = build("products", product(name=""), product(name=None), product())
    assert table["commerce__products"]["name"].to_pylist() == ["", None, None]


def test_types_are_those_of_the_contract() -> None:
    table = build("products", product())["commerce__products"]
    assert table.schema == arrow_schema(tables_of(BY_NAME["products"])[0])
    assert table["updated_at"].to_pylist() == [datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)]
    assert table["_received_at"].to_pylist() == [AT]
    assert table["_is_deleted"].to_pylist() == [False]


def test_items_follow_their_order() -> None:
    def item(id: str) -> dict[str, Any]:
        return {"id": id, "product_id": "p", "quantity": 1, "unit_price": "1"}

    orders = [
        {"id": id, "status": "s", "currency": "c", "created_at": AT, "updated_at": AT, "items": own}
        for id, own in (("a", [item("1"), item("2")]), ("b", []), ("c", [item("1")]))
    ]
    tables = build("orders", *orders)
    own, items = tables["commerce__orders"], tables["commerce__order_items"]
    assert items["order_id"].to_pylist() == ["a", "a", "c"]
    assert items["id"].to_pylist() == ["1", "2", "1"]
    hashes = dict(zip(own["id"].to_pylist(), own["_row_hash"].to_pylist(), strict=True))
    assert items["_row_hash"].to_pylist() == [hashes[id] for id in ("a", "a", "c")]
    assert "commerce__order_items" not in build("orders", orders[1])
    assert (
        TableBuilder(BY_NAME["orders"]).build(RecordDecoder(BY_NAME["orders"]).decode([], []), AT)
        == {}
    )


def test_an_address_that_is_null_is_null_in_every_column() -> None:
    base = {"signup_date": "", "updated_at": AT}
    table = build("customers", base | {"id": "1"}, base | {"id": "2", "address": {"city": ""}})[
        "commerce__customers"
    ]
    assert table["address_city"].to_pylist() == [None, ""]
    assert table["address_street"].to_pylist() == [None, None]


def test_dead_letters_can_be_stored() -> None:
    letters = [DeadLetter("a\0", "bad \ud800 \0", b"\0\xff")]
    table = dead_letter_table(BY_NAME["users"], letters, AT)
    assert table.schema == arrow_schema(DEAD_LETTERS)
    (row,) = table.to_pylist()
    assert (row["record_id"], row["error"]) == ("a\\u0000", "bad ? \\u0000")
    assert row["payload_encoding"] == "base64"
