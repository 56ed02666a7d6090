"""Decoding: no record is lost, a breach names record, field and value, unknown fields are kept."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import SOURCE_OF, generate
from loaders.arrow import TableBuilder, dead_letter_table
from loaders.contracts import ENTITIES, Entity
from loaders.decoding import (
    DecodedPage,
    RecordDecoder,
    row_hash,
    take_unknown,
)
from loaders.envelope import PageError, read_envelope

BY_NAME = {entity.name: entity for entity in ENTITIES}
ORDERS = BY_NAME["orders"]
AT = datetime(2026, 1, 1, tzinfo=UTC)
ITEM = {"id": "i1", "product_id": "p1", "quantity": 2, "unit_price": "1.50"}
ORDER = {
    "id": "o1",
    "status": "pending",
    "currency": "EUR",
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00+02:00",
    "items": [ITEM],
}


def encode(**values: Any) -> bytes:
    return json.dumps(ORDER | values).encode()


def item(**values: Any) -> bytes:
    return encode(items=[ITEM | values])


def page(*raws: bytes) -> bytes:
    return b'{"data": [' + b" , ".join(raws) + b'], "next": null}'


def decode(*raws: bytes, entity: Entity = ORDERS) -> DecodedPage:
    """Through the whole path: page, records, Arrow; nothing may raise or be lost."""
    received = [bytes(raw) for raw in read_envelope(page(*raws)).data]
    assert received == list(raws)
    decoded = RecordDecoder(entity).decode(received, list(map(row_hash, received)))
    assert len(decoded.records) + len(decoded.dead) == len(raws)
    assert len(decoded.records) == len(decoded.hashes) == len(decoded.extras)
    tables = TableBuilder(entity).build(decoded, AT)
    if decoded.records:
        assert tables[entity.table].num_rows == len(decoded.records)
    letters = dead_letter_table(entity, decoded.dead, AT).to_pylist()
    assert [_bytes(letter) for letter in letters] == [letter.payload for letter in decoded.dead]
    return decoded


def _bytes(letter: dict[str, Any]) -> bytes:
    if letter["payload_encoding"] == "base64":
        return base64.b64decode(letter["payload"])
    assert letter["payload_encoding"] == "utf-8"
    assert "\0" not in letter["payload"]
    return str(letter["payload"]).encode()


BREACHES = [
    (encode(id=None), "orders ?: id: Expected `str`, got `null`; value null"),
    (encode(id=""), "id: Expected `str` of length >= 1"),
    (encode(id="x" * 257), "id: Expected `str` of length <= 256"),
    (encode(status=True), "orders 'o1': status: Expected `str`, got `bool`; value true"),
    (encode(created_at=5), "created_at: Expected `datetime`, got `int`; value 5"),
    (encode(updated_at="2026-01-01T00:00:00"), "with a timezone component; value"),
    (encode(updated_at="2026-01-01"), 'updated_at: Invalid RFC3339 encoded datetime; value "2026'),
    (encode(updated_at="0001-01-01T00:00:00+14:00"), "between the years 2 and 9998"),
    (encode(updated_at="9999-12-31T23:59:59-14:00"), "between the years 2 and 9998"),
    (encode(updated_at="10000-01-01T00:00:00Z"), "updated_at: Invalid RFC3339"),
    (encode(currency=" \r\n"), "orders 'o1': currency: Expected text, got blanks; value \" "),
    (encode(currency="E" * 17), "currency: Expected `str` of length <= 16"),
    (
        encode(shipping_address={"country": "x" * 257}),
        "shipping_address.country: Expected `str` of length <= 256",
    ),
    (encode(items=None), "items: Expected `array`, got `null`; value null"),
    (encode(items=[None]), "items[0]: Expected `object`, got `null`"),
    (encode(items=[ITEM, ITEM | {"status": 1}]), "items: Expected item ids unique within"),
    (item(quantity="two"), 'items[0].quantity: Expected `int`, got `str`; value "two"'),
    (item(quantity=2**31), "items[0].quantity: Expected `int` <= 2147483647; value 2147483648"),
    (item(quantity=10**30), "items[0].quantity: Expected `int` <= 2147483647; value 1000"),
    (item(unit_price="free"), 'unit_price: Expected decimal text such as `-12.50`; value "free"'),
    (item(unit_price="1.5\n"), "unit_price: Expected decimal text"),
    (item(unit_price="1e3"), "unit_price: Expected decimal text"),
    (item(unit_price="0.1234567"), "unit_price: Expected decimal text"),
    (item(unit_price="1234567890123"), "unit_price: Expected decimal text"),
    (
        item(quantity=-100000, unit_price="10000000001"),
        "items[0].unit_price: Expected a price that is worth at most 1000000000000000 by its"
        ' quantity of -100000; value "10000000001"',
    ),
    (item(unit_price="\u0661\u0662"), "unit_price: Expected decimal text"),
    (item(product_id=None), "items[0].product_id: Expected `str`, got `null`; value null"),
    (encode(status="a\0b"), "orders 'o1': Expected text without the character NUL"),
    (encode(unknown="a\0b"), "orders 'o1': Expected text without the character NUL"),
    (encode(status="\ud800"), "orders 'o1': Expected whole characters, got half of a"),
    (encode(unknown={"\udfff": 1}), "orders 'o1': Expected whole characters, got half of a"),
    (encode(id="\ud800"), "orders ?: Expected whole characters, got half of a"),
    (encode(status="~").replace(b"~", b"\xff"), "orders 'o1': 'utf-8' codec can't decode"),
    (encode(unknown="~").replace(b"~", b"\xff"), "orders 'o1': 'utf-8' codec can't decode"),
    (encode(id="~").replace(b"~", b"\xff"), "orders ?: 'utf-8' codec can't decode"),
    (item(quantity=7).replace(b"7", b"1e400"), "items[0].quantity: Expected `int`"),
    (item(quantity=7).replace(b"7", b"9" * 5000), "orders 'o1': "),
    (encode(x=0).replace(b'"x": 0', b'"x": ' + b"9" * 5000), "orders 'o1': "),
    (b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "orders ?: "),
    (b'"text"', "orders ?: Expected `object`, got `str`"),
    (b"null", "orders ?: Expected `object`, got `null`"),
    (b"[]", "orders ?: Expected `object`, got `array`"),
]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-01T10:00Z",
        "2026-11-01 10:00Z",
        "2026-11-01T12:00+02:00",
        "2026-11-01T12:00+02",
        "2026-11-01T12:00:00.0+02",
        "2026-11-01 10:00:00+00:00",
    ],
)
def test_iso_8601_may_leave_out_seconds_and_minutes_of_the_offset(text: str) -> None:
    decoded = decode(encode(updated_at=text))
    assert decoded.dead == []
    assert decoded.records[0].updated_at == datetime(2026, 11, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-11-01T10:00", "2026-11-01T10Z", "2026-11-01T25:00Z"])
def test_a_time_without_offset_or_minutes_stays_a_breach_as_it_was_sent(text: str) -> None:
    (letter,) = decode(encode(updated_at=text)).dead
    assert letter.error.endswith(f'value "{text}"')


def test_what_is_said_of_a_breach_fits_every_database() -> None:
    (letter,) = decode(encode(id="a\0", status=1)).dead
    assert letter.record_id == "a\\u0000"
    assert "\0" not in letter.error


def test_an_item_may_be_worth_what_the_marts_can_sum() -> None:
    assert decode(item(quantity=-100_000, unit_price="10000000000")).dead == []


@pytest.mark.parametrize(("raw", "says"), BREACHES, ids=[says for _, says in BREACHES])
def test_a_breach_is_named_and_harms_nobody(raw: bytes, says: str) -> None:
    decoded = decode(encode(id="before"), raw, encode(id="after"))
    assert [record.id for record in decoded.records] == ["before", "after"]
    (letter,) = decoded.dead
    assert says in letter.error
    assert letter.payload == raw


@pytest.mark.parametrize("depth", [900, *range(930, 1000), 20_000])
def test_nesting_is_kept_or_refused_at_any_depth(depth: int) -> None:
    raw = b'{"deep":' + b"[" * depth + b"]" * depth + b"," + encode()[1:]
    decoded = decode(raw, encode(id="o2"))
    assert decoded.records[-1].id == "o2"


def test_text_that_looks_like_nul_is_no_breach() -> None:
    decoded = decode(encode(status="a\\u0000b"))
    assert decoded.records[0].status == "a\\u0000b"


def test_numbers_of_unknown_fields_keep_their_digits() -> None:
    numbers = b"[12345678901234567890.123456789,1.10,1E+400,36893488147419103232]"
    raw = b'{"n":' + numbers + b"," + encode()[1:]
    table = TableBuilder(ORDERS).build(decode(raw), AT)["commerce__orders"]
    assert table["_extra"].to_pylist() == ['{"n":' + numbers.decode() + "}"]


def test_unknown_fields_are_kept_where_they_were() -> None:
    raw = encode(
        shipping_address={"city": "Oslo", "floor": 3},
        items=[ITEM, ITEM | {"id": "i2", "gift": {"to": None}}],
        tags=[],
    )
    tables = TableBuilder(ORDERS).build(decode(raw, encode(id="o2")), AT)
    extras = [_load(text) for text in tables["commerce__orders"]["_extra"].to_pylist()]
    assert extras == [{"shipping_address": {"floor": 3}, "tags": []}, None]
    items = [_load(text) for text in tables["commerce__order_items"]["_extra"].to_pylist()]
    assert items == [None, {"gift": {"to": None}}, None]


def _load(text: str | None) -> Any:
    return None if text is None else json.loads(text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"data": []}',
        b'{"data": {}, "next": null}',
        b'{"data": [], "next": 5}',
        page(encode())[:-9],
        page(encode(status="\ud800"))[:-9],
        page(encode(status="\ud800")) + b"x",
        page(encode(), b'{"x": tru}'),
        page(encode(status="\ud800"), b'{"x": <html>}'),
        b"\xff\xfe",
    ],
)
def test_what_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(PageError, match="no page of records"):
        read_envelope(body)


@pytest.mark.parametrize("constant", ["NaN", "-Infinity"])
def test_a_number_that_is_none_costs_its_record_alone(constant: str) -> None:
    odd = item(quantity=7).replace(b"7", constant.encode())
    decoded = decode(encode(), odd, encode(id="o2"), constant.encode())
    assert [record.id for record in decoded.records] == ["o1", "o2"]
    assert [letter.payload for letter in decoded.dead] == [odd, constant.encode()]


def test_the_whole_page_is_read_when_one_record_is_odd() -> None:
    odd = [encode(status="\ud800"), b'{"data": [{"a": ","}], "b": "]}"}', b"5", b'"\\""']
    body = b'{"next": "/a?b=[1]", "x": {"data": [1]}, "data" : [' + b", ".join(odd) + b"] }"
    envelope = read_envelope(body)
    assert [bytes(raw) for raw in envelope.data] == odd
    assert envelope.next == "/a?b=[1]"


STORE = generate(2, 0.02, AT)
VALID = {
    entity.name: [json.loads(raw) for raw in STORE.rows(SOURCE_OF[entity.name], entity.name)][:30]
    for entity in ENTITIES
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
    | st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "12.5", "\0", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Entity, list[bytes]]:
    """A page of records, most of them with values replaced, added or removed at any level."""
    entity = draw(st.sampled_from(ENTITIES))
    records = draw(st.lists(st.sampled_from(VALID[entity.name]), min_size=1, max_size=5))
    raws = []
    for original in records:
        record = json.loads(json.dumps(original))
        for _ in range(draw(st.integers(0, 3))):
            place = draw(st.sampled_from(list(_objects(record))))
            key = draw(st.sampled_from([*place, "unknown", "data"]))
            if draw(st.integers(0, 3)):
                place[key] = draw(JSON)
            else:
                place.pop(key, None)
        raws.append(json.dumps(record, ensure_ascii=draw(st.booleans())).encode("utf-8", "replace"))
    return entity, raws


def _objects(value: Any) -> Any:
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value
    for child in children if isinstance(value, dict | list) else ():
        yield from _objects(child)


@given(mutated())
def test_records_out_are_records_in(case: tuple[Entity, list[bytes]]) -> None:
    entity, raws = case
    decoded = decode(*raws, entity=entity)
    sent = {row_hash(raw): raw for raw in raws}
    for record, hashed, extra in zip(decoded.records, decoded.hashes, decoded.extras, strict=True):
        value = msgspec.json.decode(sent[hashed])
        assert record.id == value["id"]
        assert json.loads(json.dumps(extra, default=float)) == take_unknown(value, entity.contract)
    for letter in decoded.dead:
        assert letter.payload in raws
        assert letter.error.startswith(f"{entity.name} ")


def test_dead_letter_ids_are_stable_and_apart() -> None:
    decoded = decode(b"1", b"2", b"1")
    ids = dead_letter_table(ORDERS, decoded.dead, AT)["dead_letter_id"].to_pylist()
    other = dead_letter_table(BY_NAME["users"], decoded.dead, AT)["dead_letter_id"].to_pylist()
    assert ids[0] == ids[2] != ids[1]
    assert set(ids).isdisjoint(other)


def test_bytes_that_hold_two_records_are_no_record() -> None:
    """Joined with others they would decode as more records than there are bytes."""
    account = b'{"id":"a","name":"A","plan":"p","created_at":"%b","updated_at":"%b"}'
    one = account % (b"2026-03-01T00:00:00Z", b"2026-03-01T00:00:00Z")
    decoder = RecordDecoder(next(entity for entity in ENTITIES if entity.name == "accounts"))
    page = decoder.decode_apart([one + b"," + one, one], ["h1", "h2"])
    assert (page.places, [letter.place for letter in page.dead]) == ([1], [0])
