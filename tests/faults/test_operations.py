"""What is told, and what is kept, of faults: beside the table in `test_every_fault.py`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import create_engine, insert, text, update
from support import faults
from support.modelled import BY_NAME, ModelledWarehouse
from support.on_call import SYNC, OnCall, Sink
from support.warehouse import Warehouse

from demo import DemoServer, Store
from ledger.publications import Publication, record_publication
from ledger.runs import now
from ledger.tables import circuit_breakers
from operations.monitor.supervisor import Supervisor
from operations.plan import Plan
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


def test_data_that_is_late_is_one_message_a_source(
    serve: Callable[..., DemoServer], warehouse: Warehouse, sink: Sink, monkeypatch: Any
) -> None:
    """A source that is down for a day: its sync, its age and its breaker have one root cause."""
    monkeypatch.setenv("MONITOR__THRESHOLDS__PUBLICATION_LAG", "10000")
    on_call = OnCall(warehouse.settings, warehouse.ledger, sink)
    server = serve(Store())
    assert on_call.cycle(SYNC).succeeded
    tomorrow = now() + timedelta(hours=27)
    assert on_call.look(tomorrow - timedelta(hours=2)) == (set(), [])
    server.faults = "outage"
    assert on_call.cycle(SYNC).errors
    with warehouse.ledger.begin() as connection:
        connection.execute(update(circuit_breakers).values(state="open"))
    causes, (message,) = on_call.look(tomorrow)
    assert causes == {"source:crm"}
    assert message.endswith("(sync:crm, pull_freshness:crm, circuit_breaker:crm)")
    server.faults = None
    assert on_call.cycle(SYNC).succeeded
    assert on_call.look() == (set(), ["source:crm: well again"])


def test_marts_that_are_old_are_one_message(on_call: OnCall) -> None:
    published_at = now() - timedelta(hours=27)
    marts = ("dim_company", "dim_customer", "dim_date", "dim_product", "fct_feedback", "fct_sales")
    with on_call.ledger.begin() as connection:
        version = Publication(1, published_at, published_at)
        record_publication(connection, "r", version, {f"core.{mart}": 1 for mart in marts})
    causes, (message,) = on_call.look()
    assert causes == {"publication"}
    assert message.startswith(f"publication: readers see core.dim_company of {published_at:%Y-%m}")
    assert message.endswith(", mart_freshness:core.fct_feedback and 1 more)")


def test_of_data_that_is_wrong_every_key_is_kept_and_the_version_told(
    built_warehouse: Warehouse, sink: Sink
) -> None:
    settings = built_warehouse.settings
    modelled = ModelledWarehouse(settings, seeded=True)
    modelled.release()
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
