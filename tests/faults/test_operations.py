"""Every fault is noticed by the next cycle, told once, hidden from readers, and heals by itself.

For each: what the checks say, what the alert says, what readers see, and that the next cycle after
the cause is gone makes all well without a command. Faults of the machine and of databases are in
`test_machine.py`; how fast a message comes is measured by `benchmarks/alerts.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from sqlalchemy import create_engine, insert, text, update
from support.modelled import BY_NAME, ModelledWarehouse
from support.on_call import SYNC, WAITING_EVENT, OnCall, Sink
from support.warehouse import Warehouse

from demo import DemoServer, Store, generate
from ledger.runs import now
from ledger.settings import Settings
from ledger.stream import Position, record_positions
from ledger.tables import circuit_breakers, inbox, stream_positions
from operations.cycle import Plan
from operations.monitor.supervisor import Supervisor
from serving.reader import open_published

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


PUBLISH = Plan("publish", publishes=True)
ORDERS = 300


def _order(id: str, at: datetime) -> Any:
    record = {
        "id": id,
        "customer_id": None,
        "status": "paid",
        "currency": "EUR",
        "shipping_address": None,
        "created_at": at.isoformat(),
        "updated_at": at.isoformat(),
        "items": [
            {"id": "1", "product_id": "p", "quantity": 2, "unit_price": "10.00"},
        ],
    }
    return msgspec.convert(record, BY_NAME["orders"].contract)


@pytest.mark.parametrize("fault", ["outage", "unauthorized", "html"])
def test_a_source_that_fails(
    serve: Callable[..., DemoServer],
    on_call: OnCall,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serve(generate(7, 0.02, AS_OF))
    assert on_call.cycle(SYNC).succeeded
    assert on_call.look() == (set(), [])
    server.faults = fault
    assert on_call.cycle(SYNC).errors
    causes, messages = on_call.look()
    assert causes == {"source:crm"}
    (message,) = messages
    assert message.startswith("source:crm: ")
    assert on_call.cycle(SYNC).errors
    assert on_call.look() == ({"source:crm"}, []), "no repeat while it lasts"
    server.faults = None
    assert on_call.cycle(SYNC).succeeded
    assert on_call.look() == (set(), ["source:crm: well again"])


def test_a_breaker_that_is_open_is_no_fault_of_its_own(on_call: OnCall) -> None:
    row = {"source": "crm", "state": "open", "failure_count": 5, "success_count": 0}
    with on_call.ledger.begin() as connection:
        connection.execute(insert(circuit_breakers).values(row))
    assert on_call.look()[0] == {"source:crm"}
    with on_call.ledger.begin() as connection:
        connection.execute(update(circuit_breakers).values(state="closed"))
    assert on_call.look() == (set(), ["source:crm: well again"])


def test_a_schema_that_drifts(
    serve: Callable[..., DemoServer], on_call: OnCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new field is kept and no fault; a missing field or a changed type is a dead letter each."""
    monkeypatch.setenv("MONITOR__THRESHOLDS__DEAD_LETTERS", "1")
    store = generate(7, 0.02, AS_OF)
    serve(store)
    on_call = OnCall(on_call.settings, on_call.ledger, on_call.sink)
    later = {"updated_at": "2026-01-02T00:00:00Z"}
    account = {"id": "a1", "name": "A", "plan": "pro", "created_at": "2026-01-01T00:00:00Z"}
    store.upsert("crm", "accounts", account | later | {"new_field": [1]})
    assert on_call.cycle(SYNC).succeeded
    good = on_call.look()
    store.upsert("crm", "accounts", {"id": "a2"} | later)
    store.upsert("crm", "accounts", account | later | {"id": "a3", "name": 3})
    assert on_call.cycle(SYNC).succeeded, "what is bad never blocks what is good"
    causes, _ = on_call.look()
    assert good[0] <= {"dead_letters"}
    assert causes == {"dead_letters"}


def test_events_that_nobody_lands(on_call: OnCall) -> None:
    row = WAITING_EVENT | {"received_at": now() - timedelta(minutes=6)}
    with on_call.ledger.begin() as connection:
        connection.execute(insert(inbox).values(row))
    causes, messages = on_call.look()
    assert causes == {"inbox", "ledger"}, "it was never received: the balance says so too"
    assert len(messages) == 2


def test_a_broker_that_is_silent(on_call: OnCall, warehouse: Warehouse, sink: Sink) -> None:
    record_positions(on_call.ledger, [Position("user-events", 0, 5, 5)])
    watcher = OnCall(warehouse.settings, warehouse.ledger, sink, reads_stream=True)
    assert watcher.supervisor.observe().checks
    with on_call.ledger.begin() as connection:
        connection.execute(
            update(stream_positions).values(observed_at=now() - timedelta(minutes=6))
        )
    watcher = OnCall(warehouse.settings, warehouse.ledger, sink, reads_stream=True)
    causes, messages = watcher.look()
    assert causes == {"stream"}
    assert "broker" in messages[0]


def test_a_disk_that_is_nearly_full(on_call: OnCall, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("MONITOR__THRESHOLDS__DISK_FREE", "1000000")
        full = OnCall(on_call.settings, on_call.ledger, on_call.sink)
        causes, messages = full.look()
        assert causes == {"disk"}
        assert "warehouse maintain" in messages[0]
    well = OnCall(on_call.settings, on_call.ledger, on_call.sink)
    assert well.look() == (set(), ["disk: well again"])


def test_a_channel_that_is_down_is_reported_and_caught_up(on_call: OnCall) -> None:
    on_call.sink.refuses = True
    with on_call.ledger.begin() as connection:
        row = {"source": "crm", "state": "open", "failure_count": 5, "success_count": 0}
        connection.execute(insert(circuit_breakers).values(row))
    at = now()
    assert on_call.look(at) == ({"source:crm"}, [])
    causes, _ = on_call.look(at + timedelta(seconds=1))
    assert causes == {"source:crm", "alerts"}
    on_call.sink.refuses = False
    messages = []
    for minute in range(1, 4):
        causes, taken = on_call.look(at + timedelta(minutes=minute))
        messages += taken
    assert any(message.startswith("source:crm: ") for message in messages)
    assert causes == {"source:crm"}


def test_a_ledger_that_cannot_be_read_is_told_without_it(warehouse: Warehouse, sink: Sink) -> None:
    watcher = Supervisor(warehouse.settings, warehouse.ledger)
    with _locked_out(warehouse):
        seen = watcher.observe()
        assert [check.root_cause for check in seen.checks] == ["ledger"]
        assert not seen.checks[0].is_healthy
        watcher.observe()
    healed = watcher.observe()
    watcher.close()
    assert all(check.is_healthy for check in healed.checks)
    problem, recovery = sink.taken()
    assert "cannot be read" in problem
    assert recovery == "ledger: well again"


@contextmanager
def _locked_out(warehouse: Warehouse) -> Iterator[None]:
    """The ledger is gone for a while: PostgreSQL refuses everyone, the file is elsewhere."""
    settings = warehouse.settings
    warehouse.ledger.dispose()
    if settings.postgres_url is None:
        path = settings.home / "ledger.sqlite"
        away = path.with_suffix(".away")
        path.rename(away)
        yield
        for file in settings.home.glob("ledger.sqlite*"):
            file.unlink()
        away.rename(path)
        warehouse.ledger.dispose()
        return
    url = settings.ledger_url
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        name = url.database
        connection.execute(text(f"alter database {name} allow_connections false"))
        connection.execute(
            text("select pg_terminate_backend(pid) from pg_stat_activity where datname = :name"),
            {"name": name},
        )
        yield
        connection.execute(text(f"alter database {name} allow_connections true"))
    admin.dispose()


def test_a_model_that_breaks_and_data_that_is_wrong_never_reach_a_reader(
    built_warehouse: Warehouse, sink: Sink
) -> None:
    settings = built_warehouse.settings
    modelled = ModelledWarehouse(settings, seeded=True)
    watcher = OnCall(settings, built_warehouse.ledger, sink)
    sales = Plan("build", selectors=("fct_sales",), as_of=AS_OF)
    at = AS_OF - timedelta(days=1)
    orders = [(BY_NAME["orders"], _order(f"o{number}", at), False) for number in range(ORDERS)]
    modelled.land("1", orders, received_at=at)
    news = frozenset({"commerce__orders", "commerce__order_items"})
    first = watcher.cycle(Plan("build", news=news, as_of=AS_OF))
    assert first.publication is not None, first.errors
    assert watcher.look()[0] == set()

    modelled.execute("alter table core.fct_sales add column in_the_way integer")
    broken = watcher.cycle(sales)
    assert broken.publication is None
    causes, messages = watcher.look()
    assert causes == {"build"}
    assert "fct_sales" in messages[0]
    shown = f"readers see version {first.publication.version} of {first.publication.created_at:%Y}"
    assert messages[0].startswith(f"build: {shown}"), "and how old it is"
    assert _version(settings) == first.publication.version
    modelled.execute("alter table core.fct_sales drop column in_the_way")

    mended = watcher.cycle(sales)
    assert mended.publication is not None, mended.errors
    assert watcher.look() == (set(), ["build: well again"])

    modelled.execute("update core.fct_sales set net_amount = net_amount + 1")
    for again in (sales, PUBLISH):
        wrong = watcher.cycle(again)
        assert wrong.publication is None
        assert "not published: dbt: " in wrong.errors[-1]
    causes, messages = watcher.look()
    assert causes == {"quality"}
    assert "fct_sales__amounts_add_up" in messages[0]
    with open_published(settings) as reader:
        assert reader.publication.version == mended.publication.version
        assert reader.fetch("select distinct net_amount from core.fct_sales") == [(Decimal(20),)]
        keys = reader.fetch(
            "select count(distinct failing_key) from operations.quality_failures"
            " where suite = 'dbt' and rule like 'fct_sales__%'"
        )
    assert keys == [(ORDERS,)], "every failing key is there"
    modelled.execute("update core.fct_sales set net_amount = net_amount - 1")
    assert watcher.cycle(sales).publication
    assert watcher.look() == (set(), ["quality: well again"])


def _version(settings: Settings) -> int:
    with open_published(settings) as reader:
        return reader.publication.version


def test_two_hundred_healthy_cycles_raise_no_alarm(
    serve: Callable[..., DemoServer], on_call: OnCall
) -> None:
    store = Store()
    serve(store)
    assert on_call.cycle(SYNC).succeeded
    for _ in range(200):
        seen = on_call.supervisor.observe()
        assert all(check.is_healthy for check in seen.checks), seen.checks
    on_call.supervisor.wait()
    assert on_call.sink.taken() == []
