"""The generator: the same bytes for the same arguments, and the untidiness that was promised."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo import SOURCE_OF, Store, advance, generate
from demo.generator import COUNTS

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
NEXT = AS_OF + timedelta(days=1)


def good(store: Store, entity: str) -> list[dict[str, Any]]:
    source = SOURCE_OF[entity]
    rows = (store.get(source, entity, id) for id in store.ids(source, entity))
    return [json.loads(row) for row in rows if row is not None]


def snapshot(store: Store) -> dict[str, list[bytes]]:
    return {entity: store.rows(source, entity) for entity, source in SOURCE_OF.items()}


@pytest.fixture(scope="module")
def year() -> Store:
    return generate(7, 1, AS_OF)


def test_same_arguments_give_same_bytes() -> None:
    first, second = generate(3, 0.05, AS_OF), generate(3, 0.05, AS_OF)
    assert snapshot(first) == snapshot(second)
    for day in (1, 2, 3):
        until = AS_OF + timedelta(days=day)
        assert advance(first, 3, 0.05, until) == advance(second, 3, 0.05, until)
        assert snapshot(first) == snapshot(second)
    assert snapshot(generate(4, 0.05, AS_OF)) != snapshot(generate(3, 0.05, AS_OF))


def test_as_of_in_another_zone_is_the_same_moment() -> None:
    elsewhere = datetime.fromisoformat("2026-03-01T02:00:00+02:00")
    assert snapshot(generate(3, 0.02, elsewhere)) == snapshot(generate(3, 0.02, AS_OF))


def test_refused_arguments() -> None:
    with pytest.raises(ValueError, match="offset"):
        generate(1, 1, datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="scale"):
        generate(1, 0, AS_OF)


def test_size(year: Store) -> None:
    for entity, source in SOURCE_OF.items():
        assert year.count(source, entity) == pytest.approx(COUNTS[entity], rel=0.05)
    rows = sum(year.count(source, entity) for entity, source in SOURCE_OF.items())
    bad = sum(year.malformed(source, entity) for entity, source in SOURCE_OF.items())
    assert 0.002 < bad / rows < 0.005


def test_nothing_lies_after_as_of(year: Store) -> None:
    for entity in SOURCE_OF:
        rows = good(year, entity)
        assert all(datetime.fromisoformat(row["updated_at"]) <= AS_OF for row in rows)
        for row in rows:
            if row["created_at"] is not None:
                created = datetime.fromisoformat(row["created_at"])
                assert created <= datetime.fromisoformat(row["updated_at"])


def test_untidiness(year: Store) -> None:
    customers, orders = good(year, "customers"), good(year, "orders")
    mails = Counter(row["email_address"] for row in customers if row["email_address"])
    assert max(mails.values()) > 1
    assert any(mail != mail.strip() for mail in mails) and any(mail.isupper() for mail in mails)
    assert any(row["signup_date"] == "31/02/2024" for row in customers)
    assert any("loyalty_tier" in row for row in customers)
    assert any(row["address"] is None for row in customers)
    countries = {row["address"]["country"] for row in customers if row["address"]}
    assert {"GB", "United Kingdom", None} <= countries
    known = {row["id"] for row in customers}
    named = {row["customer_id"] for row in orders}
    assert None in named and len(named - known) > 3
    products = {row["id"] for row in good(year, "products")}
    assert {item["product_id"] for row in orders for item in row["items"]} - products
    assert {row["status"] for row in orders} == {
        "pending", "shipped", "completed", "cancelled", "refunded",
    }  # fmt: skip
    assert {len(row["items"]) for row in orders} == {1, 2, 3, 4, 5, 6}
    items = [item for row in orders for item in row["items"]]
    assert {type(item["discount_amount"]) for item in items} == {str, type(None)}
    assert all(len({item["id"] for item in row["items"]}) == len(row["items"]) for row in orders)


def test_some_companies_die(year: Store) -> None:
    assert {row["is_active"] for row in good(year, "companies")} == {True, False}
    urgent = [row for row in good(year, "tickets") if row["priority"] == "urgent"]
    pile = Counter(row["company_id"] for row in urgent if row["resolved_at"] is None)
    worst, size = pile.most_common(1)[0]
    assert size >= 3
    moods = sorted(
        (row["created_at"], row["sentiment"])
        for row in good(year, "feedback")
        if row["company_id"] == worst
    )
    half = len(moods) // 2
    late = [mood for _, mood in moods[half:]].count("negative")
    assert late > [mood for _, mood in moods[:half]].count("negative")
    assert moods[-1][0] < (AS_OF - timedelta(days=14)).isoformat()


def test_bad_rows_are_of_every_kind(year: Store) -> None:
    text = b"\n".join(row for rows in snapshot(year).values() for row in rows)
    for defect in (b'"two"', b'"free"', b'"yesterday"', b'"ecstatic"', b'"items":null'):
        assert defect in text
    rows = [json.loads(line) for line in text.splitlines()]
    assert any("id" not in row for row in rows)


def test_second_day() -> None:
    store = generate(7, 1, AS_OF)
    before = snapshot(store)
    served = {row["id"] for row in good(store, "customers")}
    named = {row["customer_id"] for row in good(store, "orders")} - {None}
    changes = advance(store, 7, 1, NEXT)
    after = snapshot(store)
    for entity, source in SOURCE_OF.items():
        changed = set(after[entity]) - set(before[entity])
        since = store.rows(source, entity, modified_since=AS_OF + timedelta(seconds=1))
        assert changed <= set(since)
        expected = sum(count for what, count in changes[entity].items() if what != "deleted")
        assert len(changed) == expected
        for row in good(store, entity):
            assert datetime.fromisoformat(row["updated_at"]) <= NEXT
    assert changes["customers"]["late"] >= 1
    arrived = {row["id"] for row in good(store, "customers")} - served
    assert arrived & named
    still_absent = named - served - arrived
    assert still_absent
    assert sum(one.get("deleted", 0) for one in changes.values()) >= 4
