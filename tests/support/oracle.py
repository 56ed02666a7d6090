"""The law of the landing: the latest version of each id in raw is what the store serves."""

from decimal import Decimal
from typing import Any

import msgspec

from demo import SOURCE_OF, Store
from loaders.decoding import row_hash
from support.warehouse import BY_NAME, COMPLETE, Warehouse

Item = tuple[str, str, str, int, Decimal, Decimal | None]
LATEST = (
    "select id, _row_hash, _is_deleted from (select id, _row_hash, _is_deleted, row_number()"
    " over (partition by id order by updated_at desc, _received_at desc) as version_rank"
    " from raw.{table} where " + COMPLETE + ") as ranked where version_rank = 1"
)


def served_rows(store: Store, entity: str) -> dict[str, bytes]:
    """Bytes by id of the records that keep their contract."""
    source = SOURCE_OF[entity]
    rows = {id: store.get(source, entity, id) for id in store.ids(source, entity)}
    return {id: raw for id, raw in rows.items() if raw is not None}


def served_items(store: Store) -> set[Item]:
    """Every item of every order served."""
    return {
        (order["id"], item["id"], item["product_id"], item["quantity"], *_amounts(item))
        for order in map(msgspec.json.decode, served_rows(store, "orders").values())
        for item in order["items"]
    }


def _amounts(item: dict[str, Any]) -> tuple[Decimal, Decimal | None]:
    discount = item.get("discount_amount")
    return Decimal(item["unit_price"]), None if discount is None else Decimal(discount)


def landed_ids(warehouse: Warehouse, entity: str) -> dict[str, str]:
    """Hash of the latest version by id, without the deleted."""
    latest = LATEST.format(table=BY_NAME[entity].table)
    rows = warehouse.rows(f"select id, _row_hash from ({latest}) as latest where not _is_deleted")
    return dict(rows)


def landed_items(warehouse: Warehouse) -> list[Item]:
    """Items of the latest versions; dlt's physical repeats are dropped by key and version."""
    latest = LATEST.format(table="commerce__orders")
    return warehouse.rows(
        "select distinct items.order_id, items.id, items.product_id, items.quantity,"
        " items.unit_price, items.discount_amount"
        f" from raw.commerce__order_items as items join ({latest}) as latest"
        " on latest.id = items.order_id and latest._row_hash = items._row_hash"
        f" where not latest._is_deleted and items.{COMPLETE}"
    )


def assert_complete(
    warehouse: Warehouse, store: Store, *entities: str, deleted: bool = True
) -> None:
    """Raw says exactly what the store serves; `deleted=False`: rows no longer served may stay."""
    with warehouse.target.held():
        for entity in entities or BY_NAME:
            served = {id: row_hash(raw) for id, raw in served_rows(store, entity).items()}
            landed = landed_ids(warehouse, entity)
            if not deleted:
                landed = {id: hashed for id, hashed in landed.items() if id in served}
            assert landed == served, f"{entity}: {len(landed)} landed, {len(served)} served"
        if "orders" in (entities or BY_NAME):
            ids = served_rows(store, "orders").keys()
            items = [item for item in landed_items(warehouse) if deleted or item[0] in ids]
            assert sorted(items, key=str) == sorted(served_items(store), key=str)
