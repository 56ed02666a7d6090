"""Records that a contract check must reject: good record -> copy with one defect -> raw bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from demo.records import make_id
from demo.shapes import Record, iso
from demo.store import SOURCE_OF, Store

Defect = Callable[[Record], None]


def _no_id(record: Record) -> None:
    del record["id"]


def _setting(field: str, value: object) -> Defect:
    def spoil(record: Record) -> None:
        record[field] = value

    return spoil


def _item_setting(field: str, value: object) -> Defect:
    def spoil(record: Record) -> None:
        record["items"][-1][field] = value

    return spoil


_YESTERDAY = _setting("created_at", "yesterday")
DEFECTS: dict[str, tuple[Defect, ...]] = {
    "accounts": (_no_id, _YESTERDAY),
    "companies": (_setting("is_active", "maybe"), _no_id, _YESTERDAY),
    "users": (_setting("company_id", None), _no_id, _setting("updated_at", "yesterday")),
    "customers": (_setting("segment", "whale"), _no_id, _setting("updated_at", "yesterday")),
    "products": (_setting("unit_price", "free"), _no_id, _YESTERDAY),
    "orders": (
        _item_setting("quantity", "two"),
        _setting("items", None),
        _item_setting("unit_price", "free"),
        _no_id,
        _setting("updated_at", "yesterday"),
        _item_setting("product_id", None),
    ),
    "tickets": (_setting("priority", "asap"), _no_id, _setting("created_at", "yesterday")),
    "feedback": (_setting("sentiment", "ecstatic"), _no_id, _YESTERDAY),
}


def add_bad(
    store: Store,
    rng: random.Random,
    entity: str,
    donors: Sequence[str],
    number: int,
    turn: int = 0,
    at: datetime | None = None,
) -> None:
    """Serve a spoiled copy of one of these good records under an id of its own."""
    source = SOURCE_OF[entity]
    donor = store.get(source, entity, rng.choice(donors))
    assert donor is not None
    record: Record = msgspec.json.decode(donor)
    if at is None:
        at = datetime.fromisoformat(record["updated_at"])
    record["updated_at"] = iso(at)
    record["id"] = make_id(entity, number)
    defects = DEFECTS[entity]
    defects[turn % len(defects)](record)
    store.add_raw(source, entity, msgspec.json.encode(record), at, key=record.get("id"))


def add_bad_share(store: Store, rng: random.Random, entity: str, good: int) -> None:
    """Serve about 0.3 % spoiled copies beside `good` records; the defects take turns."""
    if good >= 100:
        donors = store.ids(SOURCE_OF[entity], entity)
        for turn in range(max(1, round(good * 0.003))):
            add_bad(store, rng, entity, donors, good + 1 + turn, turn)
