"""The service as a whole: it takes in, lands, builds and syncs by itself, and says what it does."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from support.push import SECRET, Sender, company, feedback
from support.warehouse import Warehouse

from demo import DemoServer, Store
from ledger.errors import SettingsError, TargetError
from ledger.settings import Settings
from ledger.tables import pipeline_runs
from operations.service.schedule import Schedule
from operations.service.serve import Service
from operations.service.settings import ServiceSettings, configured_service
from operations.service.worker import Worker
from serving.reader import open_published

SECONDS = 60.0
TOKEN = "a-token"


@pytest.fixture(scope="module")
def warehouse(module_settings: Settings) -> Iterator[Warehouse]:
    opened = Warehouse(module_settings)
    yield opened
    opened.ledger.dispose()


@pytest.fixture(scope="module")
def service(warehouse: Warehouse) -> Iterator[tuple[Service, Sender]]:
    """A service that has built everything; each test sends companies of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CRM", "SUPPORT"):
            patch.setenv(f"WEBHOOKS__{name}__SECRETS", SECRET)
        options = ServiceSettings(port=0, cycle_seconds=0.2, sync_token=TOKEN)
        with (
            Service(warehouse.settings, options) as opened,
            httpx.Client(base_url=f"http://127.0.0.1:{opened.port}", trust_env=False) as client,
        ):
            wait_for(lambda: opened.is_idle)
            yield opened, Sender(client)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def settled(service: Service) -> bool:
    return service.is_idle and not any(balance.waiting for balance in service.balances())


def shown(warehouse: Warehouse, query: str) -> list[tuple[object, ...]]:
    """What readers see: the service has the working file to itself."""
    with open_published(warehouse.settings) as reader:
        return reader.fetch(query)


def test_what_is_sent_is_scored_within_seconds(
    warehouse: Warehouse,
    service: tuple[Service, Sender],
    serve: Callable[..., DemoServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened, sender = service
    store = Store()
    serve(store)
    with caplog.at_level(logging.INFO, "warehouse"):
        sender.send("crm", "company.created", company(), "e1")
        sender.send("support", "feedback.created", feedback(sentiment="negative"), "e2")
        wait_for(lambda: settled(opened))
    scores = (
        "select company_id, health_score from health.company_health_metrics"
        " where company_id in ('c1', 'c2')"
    )
    assert [row[0] for row in shown(warehouse, scores)] == ["c1"]
    assert any("2 events landed" in message or "1 events" in message for message in caplog.messages)

    # A sync asked for: only with the token, only of a source that is there.
    store.upsert("crm", "companies", company("c2"))
    assert sender.client.post("/sync/crm").status_code == 401
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert sender.client.post("/sync/erp", headers=headers).status_code == 404
    assert sender.client.post("/sync/crm", headers=headers).status_code == 202
    wait_for(lambda: len(shown(warehouse, scores)) == 2)

    # What nothing is downstream of lands too, and does not keep the service busy.
    sender.send("crm", "deal.won", {"deal": 1}, "e3")
    wait_for(lambda: settled(opened))
    with warehouse.ledger.connect() as connection:
        runs = connection.scalar(select(func.count()).select_from(pipeline_runs))
        time.sleep(1)
        assert connection.scalar(select(func.count()).select_from(pipeline_runs)) == runs
    assert warehouse.rows("select event_type from raw.events_webhook") == [("deal.won",)]


def test_probes_tell_what_the_ledger_says(
    warehouse: Warehouse, service: tuple[Service, Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sender = service

    def asked(path: str) -> tuple[int, str]:
        answer = sender.client.get(path)
        return answer.status_code, answer.text

    assert asked("/healthz") == (200, '{"status":"alive"}')
    assert asked("/readyz") == (200, '{"status":"ready"}')
    status, text = asked("/metrics")
    figures = {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert status == 200
    assert figures["warehouse_check_healthy['webhook_lag']"] == 1
    assert figures["warehouse_check_value['publication', 'rejections']"] == 0
    ((version,),) = shown(warehouse, "select max(version) from operations.publications")
    assert figures["warehouse_publication_version[]"] == version

    def gone(*_: object) -> None:
        raise OperationalError("select 1", {}, Exception("no ledger"))

    with monkeypatch.context() as lost:
        lost.setattr("sqlalchemy.engine.Engine.connect", gone)
        assert asked("/healthz")[0] == 200, "a restart would not bring the ledger back"
        assert asked("/readyz") == (503, '{"status":"no ledger"}')
        assert asked("/metrics") == (503, '{"error":"the ledger cannot be read"}')
    with monkeypatch.context() as ended:
        ended.setattr(Worker, "is_alive", False)
        assert asked("/healthz") == (503, '{"status":"the worker has ended"}')


def test_a_failed_build_is_made_good_by_the_next_cycle(
    warehouse: Warehouse,
    service: tuple[Service, Sender],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened, sender = service
    with monkeypatch.context() as broken:
        broken.setattr("operations.cycle.build", _failing)
        sender.send("crm", "company.created", company("c5"), "e5")
        wait_for(lambda: "nobody foresaw" in caplog.text)
        assert not opened.is_idle
    wait_for(lambda: settled(opened))
    scored = "select count(*) from health.company_health_metrics where company_id = 'c5'"
    assert shown(warehouse, scored) == [(1,)]


def test_what_could_not_be_published_is_published_without_a_new_event(
    warehouse: Warehouse,
    service: tuple[Service, Sender],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened, sender = service
    with monkeypatch.context() as full:
        full.setattr("operations.audit.publish", _full)
        sender.send("crm", "company.created", company("c6"), "e6")
        wait_for(lambda: "No space left" in caplog.text)
        assert not opened.is_idle
        known = "select count(*) from core.dim_company where company_id = 'c6'"
        assert shown(warehouse, known) == [(0,)]
    wait_for(lambda: settled(opened))
    scored = "select count(*) from health.company_health_metrics where company_id = 'c6'"
    assert shown(warehouse, scored) == [(1,)]


def _full(*_: object, **__: object) -> None:
    raise TargetError("the marts could not be published: No space left on device")


def _failing(*_: object, **__: object) -> None:
    raise RuntimeError("a bug")


def test_each_moment_counts_once() -> None:
    start = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
    schedule = Schedule({"crm": "*/15 * * * *", "build": "10 * * * *"}, start)
    assert schedule.due(start + timedelta(minutes=2)) == []
    assert schedule.due(start + timedelta(minutes=3)) == ["build"]
    assert schedule.due(start + timedelta(minutes=3)) == []
    assert schedule.due(start + timedelta(hours=5)) == ["crm", "build"], "slept through, once"
    assert schedule.due(start + timedelta(hours=5, minutes=1)) == []


def test_schedules_have_defaults_and_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(configured_service().schedules) == {
        *("crm", "commerce", "support"),
        *("reconcile", "build", "maintain"),
    }
    monkeypatch.setenv("SERVE__SCHEDULES__CRM", "*/5 * * * *")
    monkeypatch.setenv("SERVE__SCHEDULES__BUILD", " ")
    found = configured_service().schedules
    assert (found["crm"], "build" in found) == ("*/5 * * * *", False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("SCHEDULES__CRM", "daily"), ("PORT", "http"), ("CYCLE_SECONDS", "0"), ("QUEUE_LIMIT", "-1")],
)
def test_settings_that_mean_nothing_are_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SERVE__{name}", value)
    with pytest.raises(SettingsError, match="serve: "):
        configured_service()


def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"),
            Service(settings, ServiceSettings(port=port)),
        ):
            pass
