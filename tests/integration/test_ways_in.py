"""The same changes give the same marts, whichever way they come in, in whichever order, however
often: by pull, by webhook, or from the topic. And what waits, lands by itself once it can."""

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from support.push import Sender, assert_balanced, company, event, feedback, served
from support.topic import Topic, user_event
from support.warehouse import Warehouse
from typer.testing import CliRunner

from demo import DemoServer, Store
from ledger.balance import balances
from ledger.batches import MAX_ATTEMPTS
from ledger.dead_letters import LetterFilter, find
from ledger.errors import TargetError
from ledger.inbox import waiting_count
from ledger.tables import inbox
from loaders.contracts import ENTITIES, Company
from loaders.decoding import RecordDecoder
from loaders.inbox_landing import InboxLanding
from loaders.landing import Landing
from loaders.stream import StreamReader
from operations.cli import app as cli
from operations.cycle import run_cycle
from operations.plan import CycleResult, Plan
from operations.progress import Reporter

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECONDS = 60.0
TESTS = ("resource_type:test", "resource_type:unit_test")
PULLED = frozenset(entity.table for entity in ENTITIES) | {"commerce__order_items"}
Change = tuple[str, str, dict[str, Any], bool]
"""Source, entity, record, whether it is deleted."""


def cycle(warehouse: Warehouse, **plan: Any) -> CycleResult:
    """One cycle as the service runs it."""
    defaults: dict[str, Any] = {"sources": (), "as_of": AS_OF, "tests": False, "wait_seconds": 10}
    options = Plan("serve", **defaults | plan)
    result = run_cycle(warehouse.settings, options, Reporter(silent=True), warehouse.ledger)
    assert result.errors == []
    assert_balanced(warehouse.ledger)
    return result


def order(id: str, version: int, items: int) -> dict[str, Any]:
    return {
        "id": id,
        "customer_id": "k1",
        "status": "completed",
        "currency": "EUR",
        "created_at": "2026-02-20T00:00:00Z",
        "updated_at": f"2026-03-01T0{version}:00:00Z",
        "items": [
            {"id": str(n), "product_id": f"p{n}", "quantity": version, "unit_price": "1.5"}
            for n in range(items)
        ],
    }


def at(version: int, minutes: int = 0) -> str:
    moment = datetime(2026, 3, 1, version, tzinfo=UTC) + timedelta(minutes=minutes)
    return moment.isoformat()


CHANGES: list[Change] = [
    ("crm", "companies", company("c1", updated_at=at(1)), False),
    ("crm", "companies", company("c1", name="Acme Ltd", updated_at=at(2)), False),
    ("crm", "companies", company("c2", updated_at=at(1)), False),
    ("crm", "companies", company("c2", updated_at=at(1)), True),
    ("crm", "companies", company("c3", updated_at=at(1)), True),
    ("crm", "companies", company("c3", name="Back", updated_at=at(2)), False),
    ("support", "feedback", feedback("f1", updated_at=at(1)), False),
    ("support", "feedback", feedback("f1", sentiment="negative", updated_at=at(2)), False),
    # Of a company that never comes, on a day that no calendar holds.
    (
        "support",
        "feedback",
        feedback("f2", company_id="c9", created_at="1970-01-01T00:00:00Z", updated_at=at(1)),
        False,
    ),
    ("commerce", "orders", order("o1", 1, 3), False),
    ("commerce", "orders", order("o1", 2, 2), False),
    ("commerce", "orders", order("o2", 1, 1), False),
    ("commerce", "orders", order("o2", 1, 1), True),
]
MESSAGES = [
    user_event(f"e{n}", user_id=f"u{n % 3}", currency=("EUR", None)[n % 2]) for n in range(6)
]
TECHNICAL = ("_dlt_load_id", "_received_at", "_row_hash", "_order_load_id", "topic_partition")
TECHNICAL += ("topic_offset",)


def marts(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of core, health and sales, without what tells how it came in."""
    with warehouse.target.held():
        columns: dict[str, list[str]] = {}
        for schema, table, column in warehouse.rows(
            "select table_schema, table_name, column_name from information_schema.columns"
            " where table_schema in ('core', 'health', 'sales')"
            " order by table_schema, table_name, column_name"
        ):
            if column not in TECHNICAL:
                columns.setdefault(f"{schema}.{table}", []).append(column)
        return {
            table: sorted(warehouse.rows(f"select {', '.join(own)} from {table}"), key=str)
            for table, own in columns.items()
            if table != "core.dim_date"
        }


@pytest.fixture
def topic() -> Iterator[Topic]:
    with Topic() as opened:
        yield opened


def deliver(
    warehouse: Warehouse,
    serve: Callable[..., DemoServer],
    topic: Topic,
    random_: random.Random,
    tag: str,
) -> None:
    """Every change at least once, by any way that can carry it, with cycles in between."""
    store = Store()
    serve(store)
    deliveries = [(random_.choice(("pull", "webhook")), change) for change in CHANGES]
    # What the API serves is a record's newest version: an older one comes by webhook too.
    deliveries += [("webhook", change) for change in CHANGES]
    deliveries += [("topic", message) for message in MESSAGES]
    deliveries += random_.choices(deliveries, k=len(deliveries) // 2)
    random_.shuffle(deliveries)
    reader = StreamReader(warehouse.settings, warehouse.ledger, topic.settings)
    with served(warehouse.ledger) as (sender, _):
        for number, (way, change) in enumerate(deliveries):
            if way == "topic":
                topic.send(change)
            elif way == "webhook" or change[3]:
                push(sender, change, f"{tag}-{json.dumps(change)}")
            elif newest(store, change):
                store.upsert(*change[:3])
            if number % 20 == 19:
                settle(warehouse, reader)
                warehouse.sync()
        warehouse.sync()
        settle(warehouse, reader, messages=len(MESSAGES))
    reader.close()


def push(sender: Sender, change: Any, id: str) -> None:
    source, entity, record, deleted = change
    kind = f"{entity}.{'deleted' if deleted else 'updated'}"
    answer = sender.send(source, kind, record, str(hash(id)))
    assert answer.status_code in (200, 202), answer.text


def newest(store: Store, change: Any) -> bool:
    """An API never serves an older version after a newer one."""
    source, entity, record, _ = change
    held = store.get(source, entity, record["id"])
    return held is None or json.loads(held)["updated_at"] <= record["updated_at"]


def untested_cycle(warehouse: Warehouse, **plan: Any) -> None:
    """A cycle as the service runs it, but for the tests of dbt."""
    with pytest.MonkeyPatch.context() as untested:
        untested.setattr("operations.cycle.INNER_TESTS", TESTS)
        cycle(warehouse, **plan)


def settle(warehouse: Warehouse, reader: StreamReader, messages: int = 0) -> None:
    """A cycle; more until that many messages are there."""
    deadline = time.monotonic() + SECONDS
    while True:
        reader.poll(0.2)
        untested_cycle(warehouse, stream=reader, news=frozenset())
        found = warehouse.rows("select count(distinct id) from raw.events__user_events")
        if (found[0][0] if found else 0) >= messages:
            return
        assert time.monotonic() < deadline, reader.error


def test_any_order_of_any_way_gives_the_same_marts(
    built_warehouse: Warehouse,
    serve: Callable[..., DemoServer],
    topic: Topic,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    random_ = random.Random(seed)
    warehouse = built_warehouse
    deliver(warehouse, serve, topic, random_, "a")
    cycle(warehouse, news=PULLED)
    found = marts(warehouse)
    company_rows = warehouse.rows(
        "select company_id, company_name, is_deleted from core.dim_company"
        " where not is_unknown order by company_id"
    )
    assert company_rows == [
        ("c1", "Acme Ltd", False),
        ("c2", "Acme", True),
        ("c3", "Back", False),
        ("c9", None, False),
    ]
    facts = "select order_id, order_item_id, quantity, is_deleted from core.fct_sales order by 1, 2"
    assert warehouse.rows(facts) == [
        ("o1", "0", 2, False),
        ("o1", "1", 2, False),
        ("o2", "0", 1, True),
    ]
    sentiments = "select feedback_id, sentiment from core.fct_feedback order by 1"
    assert warehouse.rows(sentiments) == [("f1", "negative"), ("f2", "positive")]
    today = "select currency, purchases, revenue, active_users from sales.metrics_today order by 1"
    assert [(c, p, float(r), u) for c, p, r, u in warehouse.rows(today)] == [
        ("EUR", 3, 28.5, 3),
        ("XXX", 3, 28.5, 3),
    ]
    # The same once more in another order changes nothing.
    deliver(warehouse, serve, topic, random_, "b")
    cycle(warehouse, news=PULLED)
    assert marts(warehouse) == found


def test_what_is_pushed_does_not_hide_what_was_not_pulled(
    warehouse: Warehouse, serve: Callable[..., DemoServer]
) -> None:
    """An API can lag behind its own webhooks: the cursor follows what was pulled."""
    store = Store()
    serve(store)
    store.upsert("crm", "companies", company("c1", updated_at=at(1)))
    warehouse.sync("crm")
    with served(warehouse.ledger) as (sender, _):
        sender.send("crm", "company.updated", company("c2", updated_at=at(9)), "e1")
    cycle(warehouse)
    warehouse.sync("crm")
    store.upsert("crm", "companies", company("c3", updated_at=at(2)))
    synced = warehouse.sync("crm")
    assert synced["companies"].counts.landed == 1
    found = warehouse.rows("select id from raw.crm__companies order by id")
    assert found == [("c1",), ("c2",), ("c3",)]


def test_what_waits_lands_once_the_warehouse_is_back(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise TargetError("the disk is full")

    with served(warehouse.ledger, queue_limit=30) as (sender, application):
        answers = [
            sender.send("support", "feedback.created", feedback(f"f{n}"), f"e{n}").status_code
            for n in range(32)
        ]
        assert answers == [202] * 30 + [429] * 2
        with monkeypatch.context() as broken:
            broken.setattr(Landing, "land", down)
            for _ in range(MAX_ATTEMPTS + 1):
                with pytest.raises(TargetError, match="disk is full"):
                    cycle(warehouse)
        assert waiting_count(warehouse.ledger) == 30, "no event's fault"
        assert cycle(warehouse).inbox.landed == 30  # type: ignore[union-attr]
        application.committer.set_waiting(waiting_count(warehouse.ledger))
        assert sender.send("support", "feedback.created", feedback(), "e31").status_code == 202
    rows = warehouse.rows("select id from raw.support__feedback order by _received_at, id")
    assert len(rows) == 30


def test_a_steady_stream_of_events_does_not_keep_a_cycle_from_its_end(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes while a batch lands is the next cycle's."""
    with served(warehouse.ledger) as (sender, _):
        sent = iter(range(3, 50))
        land = Landing.land

        def meanwhile(self: Landing, tables: Any) -> Any:
            number = next(sent)
            sender.send("crm", "company.created", company(f"c{number}"), f"e{number}")
            return land(self, tables)

        for number in range(3):
            sender.send("crm", "company.created", company(f"c{number}"), f"e{number}")
        monkeypatch.setattr(Landing, "land", meanwhile)
        assert cycle(warehouse).inbox.landed == 3  # type: ignore[union-attr]
        assert cycle(warehouse).inbox.landed == 1  # type: ignore[union-attr]


def test_one_event_that_cannot_land_does_not_keep_the_others(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(warehouse.ledger) as (sender, _):
        for number in range(7):
            sender.send("crm", "company.created", company(f"c{number}"), f"e{number}")
    decode = RecordDecoder.decode

    def failing(self: RecordDecoder, raws: list[bytes], hashes: list[str]) -> Any:
        page = decode(self, raws, hashes)
        assert not any(isinstance(r, Company) and r.id == "c4" for r in page.records), "a bug"
        return page

    with monkeypatch.context() as broken:
        broken.setattr(RecordDecoder, "decode", failing)
        assert cycle(warehouse).inbox.landed == 6  # type: ignore[union-attr]
        assert waiting_count(warehouse.ledger) == 1
    with warehouse.ledger.begin() as connection:
        connection.execute(update(inbox).values(next_attempt_at=None))
    assert cycle(warehouse).inbox.landed == 1  # type: ignore[union-attr]
    assert warehouse.count("crm__companies") == 7


def test_a_warehouse_restored_from_a_backup_gets_its_events_back(warehouse: Warehouse) -> None:
    with served(warehouse.ledger) as (sender, _):
        for number in range(3):
            sender.send("crm", "company.created", company(f"c{number}"), f"e{number}")
            if number < 2:
                cycle(warehouse)
    loads = warehouse.rows("select load_id from raw._dlt_loads order by inserted_at")
    warehouse.forget_loads_except([loads[0][0]])
    assert InboxLanding(warehouse.settings, warehouse.ledger).heal() == 1
    cycle(warehouse)
    assert warehouse.rows("select id from raw.crm__companies order by id") == [
        ("c0",),
        ("c1",),
        ("c2",),
    ]


def test_a_batch_that_landed_before_the_target_was_gone_lands_once(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also events that no key puts together again later."""
    with served(warehouse.ledger) as (sender, _):
        for number in range(3):
            sender.send("crm", "deal.won", {"deal": number}, f"e{number}")
    check = Landing.check
    answers = iter((TargetError("the server closed the connection"),))

    def gone_once(self: Landing, load_id: str | None, sent: Any) -> None:
        for error in answers:
            raise error
        check(self, load_id, sent)

    monkeypatch.setattr(Landing, "check", gone_once)
    assert cycle(warehouse).inbox.landed == 3  # type: ignore[union-attr]
    assert waiting_count(warehouse.ledger) == 0
    found = warehouse.rows("select event_id from raw.events_webhook order by event_id")
    assert found == [("e0",), ("e1",), ("e2",)]


def test_a_batch_whose_landing_was_not_noted_lands_once(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(warehouse.ledger) as (sender, _):
        for number in range(3):
            sender.send("crm", "company.created", company(f"c{number}"), f"e{number}")
    with monkeypatch.context() as broken:
        broken.setattr("ledger.batches.mark_landed", _killed)
        with pytest.raises(KeyboardInterrupt):
            cycle(warehouse)
    assert (waiting_count(warehouse.ledger), warehouse.count("crm__companies")) == (3, 3)
    cycle(warehouse)
    assert (waiting_count(warehouse.ledger), warehouse.count("crm__companies")) == (0, 3)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_dead_letter_is_replayed_byte_by_byte_with_one_command(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., DemoServer]
) -> None:
    """From each way in: what was refused under an older contract lands under the present one."""
    monkeypatch.setattr("operations.dead_letter_commands.load_settings", lambda: warehouse.settings)
    decode_one = RecordDecoder._decode_one

    def strict(self: RecordDecoder, raw: bytes) -> Any:
        record, extra = decode_one(self, raw)
        if b"new plan" in raw:
            raise ValueError("an older contract knows no new plan")
        return record, extra

    store = Store()
    account = {
        "id": "a1",
        "name": "A",
        "plan": "new plan",
        "created_at": at(1),
        "updated_at": at(1),
    }
    store.upsert("crm", "accounts", account)
    serve(store)
    body = event("company.created", company("c1", industry="new plan"), "e1")
    with monkeypatch.context() as older:
        older.setattr(RecordDecoder, "_decode_one", strict)
        older.setattr(RecordDecoder, "decode", RecordDecoder._decode_each)
        warehouse.sync("crm")
        with served(warehouse.ledger) as (sender, _):
            assert sender.post("crm", body, "e1").json()["status"] == "dead letter"
        refused = CliRunner().invoke(cli, ["dead-letters", "replay", "--all", "--json"])
        assert refused.exit_code == 1
        assert [r["result"] for r in json.loads(refused.output)["replayed"]] == ["failed"] * 2
    letters = {letter["way_in"]: letter for letter in find(warehouse.ledger, LetterFilter())}
    assert bytes(letters["webhook"]["payload"]) == body
    dry = CliRunner().invoke(cli, ["dead-letters", "replay", "--all", "--dry-run", "--json"])
    assert [r["result"] for r in json.loads(dry.output)["replayed"]] == ["would land"] * 2
    done = CliRunner().invoke(cli, ["dead-letters", "replay", "--all", "--json"])
    assert done.exit_code == 0, done.output
    assert [r["result"] for r in json.loads(done.output)["replayed"]] == ["landed"] * 2
    again = CliRunner().invoke(cli, ["dead-letters", "replay", "--all", "--json"])
    assert json.loads(again.output) == {"replayed": []}
    assert warehouse.rows("select plan from raw.crm__accounts") == [("new plan",)]
    assert warehouse.rows("select industry from raw.crm__companies") == [("new plan",)]
    assert_balanced(warehouse.ledger)
    assert {balance.dead for balance in balances(warehouse.ledger)} == {0}
