"""What landed is made into the record that was sent: rows of raw ─▶ the bytes of a letter."""

import json
from typing import Any

import msgspec
import pytest
from support.warehouse import BY_NAME, Warehouse

from ledger.dead_letters import QUALITY, Letter, LetterFilter, bury, find
from ledger.runs import now
from loaders.contracts import USER_EVENTS, Entity
from loaders.dead_letters import replay_letter
from loaders.decoding import RecordDecoder, take_unknown
from loaders.inbox_landing import InboxLanding
from loaders.raw_records import RawRecord, newest_rows, read_records

NESTED: dict[str, dict[str, Any]] = {
    "customers": {
        "id": "k1|'%?",
        "company_id": None,
        "full_name": "Ünal “Ü” \n X",
        "email_address": None,
        "phone": "1",
        "segment": "smb",
        "signup_date": "no date",
        "address": {"street": None, "city": "Oslo", "floor": 1.10, "zip_code": None},
        "created_at": None,
        "updated_at": "2026-03-01T00:00:00.123456Z",
        "spare": [1.50, {"a": None}],
    },
    "orders": {
        "id": "o1",
        "customer_id": "k1",
        "status": "paid",
        "currency": "EUR",
        "shipping_address": None,
        "created_at": "2026-03-01T00:00:00Z",
        "updated_at": "2026-03-01T00:00:00Z",
        "items": [
            {"id": "2", "product_id": "p", "quantity": -1, "unit_price": "100.00", "gift": True},
            {"id": "1", "product_id": "p", "quantity": 2, "unit_price": "0.000001"},
        ],
    },
    "user_events": {
        "id": "e1",
        "user_id": "u",
        "type": "purchase",
        "amount": "-12.50",
        "currency": "EUR",
        "occurred_at": "2026-03-01T00:00:00Z",
        "properties": {"page": [1, {"x": 2.50}]},
    },
}


@pytest.mark.parametrize("name", NESTED)
def test_a_record_is_made_of_its_rows_again_the_same_each_time(
    warehouse: Warehouse, name: str
) -> None:
    entity = (BY_NAME | {"user_events": USER_EVENTS})[name]
    sent = json.dumps(NESTED[name]).encode()
    first = land(warehouse, entity, sent)
    assert values_of(entity, first.payload) == values_of(entity, sent)
    again = land(warehouse, entity, first.payload)
    assert again.payload == first.payload
    if name == "user_events":
        assert json.loads(again.position or "") == {"topic": "t", "partition": 1, "offset": 7}


def land(warehouse: Warehouse, entity: Entity, payload: bytes) -> RawRecord:
    """Land bytes through the inbox, and read the record's newest row."""
    letter = Letter(
        *(QUALITY, entity.source, entity.name, "old"),
        payload=payload,
        first_seen_at=now(),
        event_id="row",
        position='{"topic": "t", "partition": 1, "offset": 7}',
    )
    with warehouse.ledger.begin() as connection:
        bury(connection, [letter])
    (found,) = find(warehouse.ledger, LetterFilter())
    assert replay_letter(warehouse.ledger, found, by_id=False).error is None
    InboxLanding(warehouse.settings, warehouse.ledger).run()
    id = json.loads(payload)["id"]
    newest = newest_rows(warehouse.target, entity, [id])[id]
    assert newest.is_of_newest_day
    (record,) = read_records(warehouse.target, entity, [newest.row_hash])
    return record


def values_of(entity: Entity, payload: bytes) -> Any:
    """What the contract reads, items by their ids, and what it does not know."""
    value = msgspec.json.decode(payload)
    value.get("items", []).sort(key=lambda item: item["id"])
    page = RecordDecoder(entity).decode([msgspec.json.encode(value)], [""])
    (record,) = page.records
    if getattr(record, "amount", None):
        record = msgspec.structs.replace(record, amount=float(record.amount))
    for item in getattr(record, "items", ()):
        prices = {"unit_price": float(item.unit_price)}
        record.items[record.items.index(item)] = msgspec.structs.replace(item, **prices)
    return record, take_unknown(value, entity.contract)
