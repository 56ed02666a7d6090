"""What is told, and what is kept, of faults: beside the table in `test_every_fault.py`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import insert
from support import faults
from support.modelled import BY_NAME, ModelledWarehouse
from support.on_call import SYNC, OnCall, Sink
from support.warehouse import Warehouse

from demo import DemoServer, Store
from ledger.runs import now
from ledger.tables import circuit_breakers
from operations.cycle import Plan
from serving.reader import open_published

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


PUBLISH = Plan("publish", publishes=True)
ORDERS = 300


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


def test_of_data_that_is_wrong_every_key_is_kept_and_the_version_told(
    built_warehouse: Warehouse, sink: Sink
) -> None:
    settings = built_warehouse.settings
    modelled = ModelledWarehouse(settings, seeded=True)
    watcher = OnCall(settings, built_warehouse.ledger, sink)
    sales = Plan("build", selectors=("fct_sales",), as_of=AS_OF)
    at = AS_OF - timedelta(days=1)
    orders = [(BY_NAME["orders"], faults.order(number, at), False) for number in range(ORDERS)]
    modelled.land("1", orders, received_at=at)
    news = frozenset({"commerce__orders", "commerce__order_items"})
    first = watcher.cycle(Plan("build", news=news, as_of=AS_OF))
    assert first.publication is not None, first.errors
    assert watcher.look()[0] == set()

    modelled.execute("update core.fct_sales set net_amount = net_amount + 1")
    for again in (sales, PUBLISH):
        wrong = watcher.cycle(again)
        assert wrong.publication is None
        assert "not published: dbt: " in wrong.errors[-1]
    causes, messages = watcher.look()
    assert causes == {"quality"}
    shown = f"readers see version {first.publication.version} of {first.publication.created_at:%Y}"
    assert messages[0].startswith(f"quality: {shown}"), "and how old it is"
    with open_published(settings) as reader:
        assert reader.publication.version == first.publication.version
        assert reader.fetch("select distinct net_amount from core.fct_sales") == [(Decimal(20),)]
        keys = reader.fetch(
            "select count(distinct failing_key) from operations.quality_failures"
            " where suite = 'dbt' and rule like 'fct_sales__%'"
        )
    assert keys == [(ORDERS,)], "every failing key is there"
    modelled.execute("update core.fct_sales set net_amount = net_amount - 1")
    assert watcher.cycle(sales).publication
    assert watcher.look() == (set(), ["quality: well again"])


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
